package portal

import (
	"time"

	"github.com/tenantry/tenantry/config"
)

// Database is the PostgreSQL client and its pool. Times are whole
// milliseconds; those that are pointers may be 0, which lifts the limit.
type Database struct {
	// URL holds host, database, user and password.
	URL config.Derived[config.Secret] `env:"DATABASE_URL,required" fact:"database.url"`
	TLS DatabaseTLS
	// AppName is what the server lists the connections as.
	AppName string `env:"POSTGRES_APP_NAME" envDefault:"parametric-portal"`
	// Options are command-line options for the server process.
	Options string `env:"POSTGRES_OPTIONS" envDefault:""`
	// PoolMax and PoolMin bound the connections of each replica.
	PoolMax int  `env:"POSTGRES_POOL_MAX" envDefault:"10" min:"1"`
	PoolMin *int `env:"POSTGRES_POOL_MIN" envDefault:"2" min:"0"`
	// ConnectTimeout bounds the making of a connection.
	ConnectTimeout time.Duration `env:"POSTGRES_CONNECT_TIMEOUT_MS" envDefault:"5000" unit:"ms" min:"1"`
	// ConnectionTTL is the age at which a connection is replaced.
	ConnectionTTL *time.Duration `env:"POSTGRES_CONNECTION_TTL_MS" envDefault:"900000" unit:"ms" min:"0"`
	// IdleTimeout is how long an unused connection is kept.
	IdleTimeout *time.Duration `env:"POSTGRES_IDLE_TIMEOUT_MS" envDefault:"30000" unit:"ms" min:"0"`
	// IdleInTransactionTimeout ends a session that leaves a transaction open.
	IdleInTransactionTimeout *time.Duration `env:"POSTGRES_IDLE_IN_TXN_TIMEOUT_MS" envDefault:"60000" unit:"ms" min:"0"`
	// LockTimeout bounds the wait for a lock.
	LockTimeout *time.Duration `env:"POSTGRES_LOCK_TIMEOUT_MS" envDefault:"10000" unit:"ms" min:"0"`
	// StatementTimeout bounds a statement.
	StatementTimeout *time.Duration `env:"POSTGRES_STATEMENT_TIMEOUT_MS" envDefault:"30000" unit:"ms" min:"0"`
	// TransactionTimeout bounds a transaction.
	TransactionTimeout *time.Duration `env:"POSTGRES_TRANSACTION_TIMEOUT_MS" envDefault:"120000" unit:"ms" min:"0"`
	Trigram            Trigram
}

// DatabaseTLS is the encryption of the connection.
type DatabaseTLS struct {
	Enabled    config.Derived[bool]   `env:"POSTGRES_SSL" envDefault:"false" fact:"database.tls"`
	CA         config.Derived[string] `env:"POSTGRES_SSL_CA" fact:"database.ca"`
	ServerName config.Derived[string] `env:"POSTGRES_SSL_SERVERNAME" fact:"database.servername"`
	// Cert and Key are for servers that ask their clients for a certificate.
	// The application does not treat Key as a secret, so the key itself is
	// refused here.
	Cert string `env:"POSTGRES_SSL_CERT"`
	Key  string `env:"POSTGRES_SSL_KEY"`
	// MinVersion is the oldest protocol accepted, such as TLSv1.3.
	MinVersion string `env:"POSTGRES_SSL_MIN_VERSION" envDefault:"TLSv1.2"`
	// RejectUnauthorized refuses a server whose certificate does not verify.
	RejectUnauthorized *bool `env:"POSTGRES_SSL_REJECT_UNAUTHORIZED" envDefault:"true"`
}

// Trigram is how alike two texts must be for a fuzzy search to match, from 0
// to 1.
type Trigram struct {
	Similarity           *float64 `env:"POSTGRES_TRGM_SIMILARITY_THRESHOLD" envDefault:"0.3" min:"0" max:"1"`
	WordSimilarity       *float64 `env:"POSTGRES_TRGM_WORD_SIMILARITY_THRESHOLD" envDefault:"0.6" min:"0" max:"1"`
	StrictWordSimilarity *float64 `env:"POSTGRES_TRGM_STRICT_WORD_SIMILARITY_THRESHOLD" envDefault:"0.5" min:"0" max:"1"`
}

// Storage is the S3 client.
type Storage struct {
	Endpoint        config.Derived[string]        `env:"STORAGE_ENDPOINT" fact:"store.endpoint"`
	Bucket          config.Derived[string]        `env:"STORAGE_BUCKET" envDefault:"parametric" fact:"store.bucket"`
	Region          config.Derived[string]        `env:"STORAGE_REGION" envDefault:"us-east-1" fact:"store.region"`
	ForcePathStyle  config.Derived[bool]          `env:"STORAGE_FORCE_PATH_STYLE" envDefault:"false" fact:"store.path-style"`
	AccessKeyID     config.Derived[config.Secret] `env:"STORAGE_ACCESS_KEY_ID,required" fact:"store.access-key"`
	SecretAccessKey config.Derived[config.Secret] `env:"STORAGE_SECRET_ACCESS_KEY,required" fact:"store.secret-key"`
	// SessionToken belongs to temporary credentials.
	SessionToken config.Secret `env:"STORAGE_SESSION_TOKEN"`
	// MaxAttempts is how often a request is sent at most, the first included.
	MaxAttempts int `env:"STORAGE_MAX_ATTEMPTS" envDefault:"3" min:"1"`
	// RetryMode is how the attempts are spaced.
	RetryMode RetryMode `env:"STORAGE_RETRY_MODE" envDefault:"standard" oneof:"adaptive|legacy|standard"`
}

// RetryMode is how the attempts of an S3 request are spaced.
type RetryMode string

// The retry modes, in the words of the AWS client.
const (
	RetryAdaptive RetryMode = "adaptive"
	RetryLegacy   RetryMode = "legacy"
	RetryStandard RetryMode = "standard"
)
