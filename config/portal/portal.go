// Package portal is the configuration schema of the portal's API: what a tenant
// may set, what infrastructure derives, and what the running service loads.
// See package config for the tags.
//
// Zero means unset, and then the application's default holds. A pointer marks
// a setting whose false or 0 says something else than that default; write
// new(false), new(0) or new(5*time.Second).
package portal

import (
	"time"

	"github.com/tenantry/tenantry/config"
)

// Settings is the whole configuration, by the application's own groups.
type Settings struct {
	App        App
	Auth       Auth
	Cache      Cache
	Cluster    Cluster
	Deployment Deployment
	Doppler    Doppler
	Mail       Mail   `env:"EMAIL_PROVIDER" envDefault:"resend"` // nil is Resend
	Sender     Sender // of the mail, whoever delivers it
	Jobs       Jobs
	Purge      Purge
	Security   Security
	Storage    Storage
	Telemetry  Telemetry
	Webhook    Webhook
	WebSocket  WebSocket
	Database   Database
	AI         AI
}

// Choices lists the mail providers.
func (Settings) Choices() []config.Choice {
	return []config.Choice{
		{Word: "resend", Variant: Resend{}},
		{Word: "postmark", Variant: Postmark{}},
		{Word: "ses", Variant: SES{}},
		{Word: "smtp", Variant: SMTP{}},
	}
}

// App is how the API presents itself.
type App struct {
	// BaseURL is where clients reach the API, scheme included.
	BaseURL config.Derived[string] `env:"API_BASE_URL" envDefault:"http://localhost:4000" fact:"edge.url"`
	// Name is the product's name in mails and pages.
	Name string `env:"APP_NAME" envDefault:"Parametric Portal"`
	// CORSOrigins are the origins browsers may call from, comma-separated; the
	// API's own unless set.
	CORSOrigins string `env:"CORS_ORIGINS" envDefault:"*" fact:"edge.url"`
	// Hostname overrides the host name that the container runtime sets.
	Hostname string `env:"HOSTNAME"`
	// LogLevel is the least severe level that is logged.
	LogLevel LogLevel `env:"LOG_LEVEL" oneof:"All|Fatal|Error|Warning|Info|Debug|Trace|None"`
	// Environment is the Node.js environment.
	Environment string `env:"NODE_ENV" envDefault:"development" preset:"production"`
	// Port is where the API listens for HTTP and WebSocket.
	Port config.Derived[int] `env:"PORT" envDefault:"4000" fact:"app.port" min:"1" max:"65535"`
}

// LogLevel is a severity.
type LogLevel string

// The levels, by what they let through.
const (
	LogAll     LogLevel = "All"
	LogFatal   LogLevel = "Fatal"
	LogError   LogLevel = "Error"
	LogWarning LogLevel = "Warning"
	LogInfo    LogLevel = "Info"
	LogDebug   LogLevel = "Debug"
	LogTrace   LogLevel = "Trace"
	LogNone    LogLevel = "None"
)

// Auth is sessions and passkeys.
type Auth struct {
	// MaxSessionsPerUser is how many sessions one user may keep open.
	MaxSessionsPerUser int `env:"MAX_SESSIONS_PER_USER" envDefault:"5" min:"1"`
	// SessionCacheCapacity is how many sessions each replica remembers.
	SessionCacheCapacity int `env:"SESSION_CACHE_CAPACITY" envDefault:"5000" min:"1"`
	// SessionCacheTTL is how long a replica trusts what it remembers, in whole
	// seconds; a revoked session may live on for as long.
	SessionCacheTTL time.Duration `env:"SESSION_CACHE_TTL_SECONDS" envDefault:"300" unit:"s" min:"1"`
	// WebAuthnOrigin is the origin passkeys are used from; the API's own unless set.
	WebAuthnOrigin string `env:"WEBAUTHN_ORIGIN" envDefault:"http://localhost:3000" fact:"edge.url"`
	// WebAuthnRPID is the domain passkeys are bound to; changing it orphans them.
	WebAuthnRPID string `env:"WEBAUTHN_RP_ID" envDefault:"localhost" fact:"edge.host"`
	// WebAuthnRPName is the name a browser shows when it asks for a passkey.
	WebAuthnRPName string `env:"WEBAUTHN_RP_NAME" envDefault:"Parametric Portal"`
}

// Deployment is where the API runs.
type Deployment struct {
	// Mode is who operates it.
	Mode DeploymentMode `env:"DEPLOYMENT_MODE,required" oneof:"cloud|selfhosted" preset:"selfhosted"`
	// ProxyHops is how many proxies stand between a client and the API.
	ProxyHops config.Derived[int] `env:"PROXY_HOPS" envDefault:"0" fact:"edge.hops" min:"0"`
	// TrustProxy is whether the forwarded headers are believed.
	TrustProxy config.Derived[bool] `env:"TRUST_PROXY" envDefault:"false" fact:"edge.proxied"`
}

// DeploymentMode is who operates the API.
type DeploymentMode string

// The deployment modes.
const (
	Cloud      DeploymentMode = "cloud"
	SelfHosted DeploymentMode = "selfhosted"
)

// Cluster is how the API watches its own replicas.
type Cluster struct {
	// HealthMode is how it tells a live replica: by its pod or by asking it.
	HealthMode config.Derived[HealthMode] `env:"CLUSTER_HEALTH_MODE" envDefault:"auto" oneof:"auto|k8s|ping" fact:"pods.readable,true=k8s,false=ping"`
	// LabelSelector finds the pods of the API.
	LabelSelector config.Derived[string] `env:"K8S_LABEL_SELECTOR" envDefault:"app=parametric-portal" fact:"pods.selector"`
	// Namespace is the pod's. The application reads it in two places with two
	// defaults, "default" here and "parametric" in its telemetry; in a cluster
	// neither is ever used.
	Namespace config.Derived[string] `env:"K8S_NAMESPACE" envDefault:"default" fact:"pod.namespace"`
}

// HealthMode is how a live replica is told.
type HealthMode string

// The health modes.
const (
	HealthAuto HealthMode = "auto"
	HealthK8s  HealthMode = "k8s"
	HealthPing HealthMode = "ping"
)

// Doppler is the secret manager that the API refreshes its own secrets from.
type Doppler struct {
	// Config is the environment within the project, such as prd.
	Config string `env:"DOPPLER_CONFIG,required"`
	// Project is the project's name.
	Project string `env:"DOPPLER_PROJECT,required"`
	// Refresh is the time between two refreshes, in whole milliseconds.
	Refresh time.Duration `env:"DOPPLER_REFRESH_MS" envDefault:"300000" unit:"ms" min:"1"`
	// Token is a service token for that project and config.
	Token config.Secret `env:"DOPPLER_TOKEN,required"`
}

// Jobs is the queue of background jobs.
type Jobs struct {
	// DLQCheckInterval is the time between two looks at the dead letters, in
	// whole milliseconds.
	DLQCheckInterval time.Duration `env:"JOB_DLQ_CHECK_INTERVAL_MS" envDefault:"300000" unit:"ms" min:"1"`
	// DLQMaxRetries is how often a dead letter is tried again; 0 is never.
	DLQMaxRetries *int `env:"JOB_DLQ_MAX_RETRIES" envDefault:"3" min:"0"`
}

// Purge is when old records are deleted.
type Purge struct {
	APIKeys       Retention `envPrefix:"PURGE_API_KEYS_" defaults:"CRON=0 3 * * 0;DAYS=365"`
	Assets        Retention `envPrefix:"PURGE_ASSETS_" defaults:"CRON=0 */6 * * *;DAYS=30"`
	EventJournal  Retention `envPrefix:"PURGE_EVENT_JOURNAL_" defaults:"CRON=0 2 * * *;DAYS=30"`
	JobDLQ        Retention `envPrefix:"PURGE_JOB_DLQ_" defaults:"CRON=0 2 * * *;DAYS=30"`
	KVStore       Retention `envPrefix:"PURGE_KV_STORE_" defaults:"CRON=0 0 * * 0;DAYS=90"`
	MFASecrets    Retention `envPrefix:"PURGE_MFA_SECRETS_" defaults:"CRON=0 4 * * 0;DAYS=90"`
	OAuthAccounts Retention `envPrefix:"PURGE_OAUTH_ACCOUNTS_" defaults:"CRON=0 5 * * 0;DAYS=90"`
	Sessions      Retention `envPrefix:"PURGE_SESSIONS_" defaults:"CRON=0 1 * * *;DAYS=30"`
	// S3BatchSize is how many objects one request deletes.
	S3BatchSize int `env:"PURGE_S3_BATCH_SIZE" envDefault:"100" min:"1"`
	// S3Concurrency is how many such requests run at once.
	S3Concurrency int `env:"PURGE_S3_CONCURRENCY" envDefault:"2" min:"1"`
}

// Retention is one purge job.
type Retention struct {
	// Schedule is when it runs.
	Schedule config.Cron `env:"CRON"`
	// Keep is the age at which a record is deleted, in whole days.
	Keep time.Duration `env:"DAYS" unit:"days" min:"1"`
}

// Webhook is how a new webhook endpoint is verified.
type Webhook struct {
	// VerifyMaxRetries is how often a failed verification is repeated; 0 is never.
	VerifyMaxRetries *int `env:"WEBHOOK_VERIFY_MAX_RETRIES" envDefault:"3" min:"0"`
	// VerifyTimeout bounds one verification, in whole milliseconds.
	VerifyTimeout time.Duration `env:"WEBHOOK_VERIFY_TIMEOUT_MS" envDefault:"10000" unit:"ms" min:"1"`
}

// WebSocket is the live connections. Its times are whole milliseconds.
type WebSocket struct {
	// BroadcastChannel is the cache's channel that carries messages between replicas.
	BroadcastChannel string `env:"WS_BROADCAST_CHANNEL" envDefault:"ws:broadcast"`
	// MaxRoomsPerSocket is how many rooms one connection may join.
	MaxRoomsPerSocket int `env:"WS_MAX_ROOMS_PER_SOCKET" envDefault:"10" min:"1"`
	// PingInterval is the time between two pings.
	PingInterval time.Duration `env:"WS_PING_INTERVAL_MS" envDefault:"30000" unit:"ms" min:"1"`
	// PongTimeout is how long a silent connection is kept.
	PongTimeout time.Duration `env:"WS_PONG_TIMEOUT_MS" envDefault:"90000" unit:"ms" min:"1"`
	// ReaperInterval is the time between two searches for silent connections.
	ReaperInterval time.Duration `env:"WS_REAPER_INTERVAL_MS" envDefault:"15000" unit:"ms" min:"1"`
}

// AI is the keys of the model providers.
type AI struct {
	Anthropic config.Secret `env:"ANTHROPIC_API_KEY,required"`
	Gemini    config.Secret `env:"GEMINI_API_KEY,required"`
	OpenAI    config.Secret `env:"OPENAI_API_KEY,required"`
}
