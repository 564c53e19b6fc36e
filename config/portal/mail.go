package portal

import (
	"time"

	"github.com/tenantry/tenantry/config"
)

// Mail is who delivers mail: Resend, Postmark, SES or SMTP.
//
//sumtype:decl
type Mail interface{ mail() }

var (
	_ Mail = Resend{}
	_ Mail = Postmark{}
	_ Mail = SES{}
	_ Mail = SMTP{}
)

// Sender is what mail has in common, whoever delivers it.
type Sender struct {
	// From is the sender's address.
	From string `env:"EMAIL_FROM" envDefault:"noreply@parametric.dev"`
	// Timeout bounds one delivery, in whole milliseconds.
	Timeout time.Duration `env:"EMAIL_TIMEOUT_MS" envDefault:"15000" unit:"ms" min:"1"`
}

// Resend delivers through resend.com.
type Resend struct {
	APIKey config.Secret `env:"RESEND_API_KEY,required"`
	// Endpoint is the URL mails are posted to.
	Endpoint string `env:"RESEND_ENDPOINT" envDefault:"https://api.resend.com/emails"`
}

// Postmark delivers through postmarkapp.com.
type Postmark struct {
	Token config.Secret `env:"POSTMARK_TOKEN,required"`
	// Endpoint is the URL mails are posted to.
	Endpoint string `env:"POSTMARK_ENDPOINT" envDefault:"https://api.postmarkapp.com/email/withTemplate"`
}

// SES delivers through Amazon SES, with the credentials of its environment.
type SES struct {
	// Endpoint replaces the region's own URL.
	Endpoint string `env:"SES_ENDPOINT"`
	Region   string `env:"SES_REGION" envDefault:"us-east-1"`
}

// SMTP delivers through a mail server.
type SMTP struct {
	Host string `env:"SMTP_HOST,required"`
	Port int    `env:"SMTP_PORT" envDefault:"587" min:"1" max:"65535"`
	// Secure speaks TLS from the first byte, as port 465 expects.
	Secure bool `env:"SMTP_SECURE" envDefault:"false"`
	// RequireTLS refuses a server that does not offer STARTTLS.
	RequireTLS bool `env:"SMTP_REQUIRE_TLS" envDefault:"false"`
	// User and Pass are for servers that ask for them.
	User string        `env:"SMTP_USER"`
	Pass config.Secret `env:"SMTP_PASS"`
}

func (Resend) mail()   {}
func (Postmark) mail() {}
func (SES) mail()      {}
func (SMTP) mail()     {}
