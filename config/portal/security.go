package portal

import "github.com/tenantry/tenantry/config"

// Security is the encryption of stored secrets and the sign-in providers.
type Security struct {
	// Encryption is what encrypts them; nil is SingleKey.
	Encryption Encryption `preset:"key"`
	// EncryptionKeyVersion is the version that new secrets are encrypted with.
	EncryptionKeyVersion int `env:"ENCRYPTION_KEY_VERSION" min:"1"`
	OAuth                OAuth
}

// Choices lists the kinds of encryption. The application has no variable that
// names one: it goes by which key it is given.
func (Security) Choices() []config.Choice {
	return []config.Choice{
		{Word: "key", Variant: SingleKey{}},
		{Word: "ring", Variant: KeyRing{}},
	}
}

// Encryption is the keys of stored secrets: SingleKey or KeyRing.
//
//sumtype:decl
type Encryption interface{ encryption() }

var (
	_ Encryption = SingleKey{}
	_ Encryption = KeyRing{}
)

// SingleKey is one key for everything.
type SingleKey struct {
	Key config.Secret `env:"ENCRYPTION_KEY,required"`
}

// KeyRing is several versions of the key, to change it without losing what an
// older one encrypted.
type KeyRing struct {
	Keys config.Secret `env:"ENCRYPTION_KEYS,required"`
}

func (SingleKey) encryption() {}
func (KeyRing) encryption()   {}

// OAuth is what the sign-in providers know the API by. A provider without its
// secret is off.
type OAuth struct {
	// ApplePrivateKey is in PEM.
	ApplePrivateKey       config.Secret `env:"OAUTH_APPLE_PRIVATE_KEY"`
	GitHubClientSecret    config.Secret `env:"OAUTH_GITHUB_CLIENT_SECRET"`
	GoogleClientSecret    config.Secret `env:"OAUTH_GOOGLE_CLIENT_SECRET"`
	MicrosoftClientSecret config.Secret `env:"OAUTH_MICROSOFT_CLIENT_SECRET"`
}
