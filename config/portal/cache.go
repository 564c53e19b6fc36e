package portal

import (
	"time"

	"github.com/tenantry/tenantry/config"
)

// Cache is the Redis client behind sessions, rate limits and broadcasts. Where
// the cache is and how to sign in is derived; the rest is the client's
// behaviour. Times are whole milliseconds.
type Cache struct {
	// Prefix stands before every persisted key.
	Prefix string `env:"CACHE_PREFIX" envDefault:"persist:"`
	// RateLimitPrefix stands before every rate limit's key.
	RateLimitPrefix string `env:"RATE_LIMIT_PREFIX" envDefault:"rl:"`
	// RateLimitStore is where rate limits are counted: memory counts per replica.
	RateLimitStore config.Derived[RateLimitStore] `env:"RATE_LIMIT_STORE" envDefault:"redis" oneof:"redis|memory" fact:"cache.enabled,true=redis,false=memory"`

	Mode     config.Derived[CacheMode]     `env:"REDIS_MODE" envDefault:"standalone" oneof:"standalone|sentinel" fact:"cache.sentinel,true=sentinel,false=standalone"`
	Host     config.Derived[string]        `env:"REDIS_HOST" envDefault:"localhost" fact:"cache.host"`
	Port     config.Derived[int]           `env:"REDIS_PORT" envDefault:"6379" fact:"cache.port" min:"1" max:"65535"`
	Username config.Derived[string]        `env:"REDIS_USERNAME" fact:"cache.username"`
	Password config.Derived[config.Secret] `env:"REDIS_PASSWORD" fact:"cache.password"`
	TLS      CacheTLS
	Sentinel Sentinel

	// DB is the number of the database.
	DB int `env:"REDIS_DB" min:"0"`
	// ConnectionName is what the server lists the client as.
	ConnectionName string `env:"REDIS_CONNECTION_NAME" envDefault:"parametric-portal"`
	// AutoPipeline gathers the commands of one tick into one round trip.
	AutoPipeline bool `env:"REDIS_AUTO_PIPELINE" envDefault:"false"`
	// AutoResendUnfulfilled repeats unanswered blocking commands after a reconnect.
	AutoResendUnfulfilled *bool `env:"REDIS_AUTO_RESEND_UNFULFILLED" envDefault:"true"`
	// AutoResubscribe subscribes again after a reconnect.
	AutoResubscribe *bool `env:"REDIS_AUTO_RESUBSCRIBE" envDefault:"true"`
	// BlockingTimeout bounds a blocking command.
	BlockingTimeout time.Duration `env:"REDIS_BLOCKING_TIMEOUT" unit:"ms" min:"0"`
	// CommandTimeout bounds any other command.
	CommandTimeout time.Duration `env:"REDIS_COMMAND_TIMEOUT" unit:"ms" min:"0"`
	// ConnectTimeout bounds the making of a connection.
	ConnectTimeout time.Duration `env:"REDIS_CONNECT_TIMEOUT" envDefault:"5000" unit:"ms" min:"1"`
	// SocketTimeout is how long a silent connection is kept; 0 is for ever.
	SocketTimeout *time.Duration `env:"REDIS_SOCKET_TIMEOUT" envDefault:"15000" unit:"ms" min:"0"`
	// KeepAlive is the delay before TCP's first probe; 0 sends none.
	KeepAlive time.Duration `env:"REDIS_KEEP_ALIVE" envDefault:"0" unit:"ms" min:"0"`
	// NoDelay sends small packets at once.
	NoDelay *bool `env:"REDIS_NO_DELAY" envDefault:"true"`
	// DisableClientInfo keeps the client's name and version from the server.
	DisableClientInfo bool `env:"REDIS_DISABLE_CLIENT_INFO" envDefault:"false"`
	// EnableOfflineQueue holds commands back until there is a connection.
	EnableOfflineQueue *bool `env:"REDIS_ENABLE_OFFLINE_QUEUE" envDefault:"true"`
	// LazyConnect connects at the first command.
	LazyConnect bool `env:"REDIS_LAZY_CONNECT" envDefault:"false"`
	// ReadyCheck waits until the server has loaded its data.
	ReadyCheck *bool `env:"REDIS_READY_CHECK" envDefault:"true"`
	// MaxLoadingRetryTime bounds the wait between two such checks; 0 is no bound.
	MaxLoadingRetryTime *time.Duration `env:"REDIS_MAX_LOADING_RETRY_TIME" envDefault:"10000" unit:"ms" min:"0"`
	// MaxRetries is how often a connection is tried again; 0 is never.
	MaxRetries *int `env:"REDIS_MAX_RETRIES" envDefault:"3" min:"0"`
	// MaxRetriesPerRequest is the same for a command; 0 is never.
	MaxRetriesPerRequest *int `env:"REDIS_MAX_RETRIES_PER_REQUEST" envDefault:"20" min:"0"`
	// RetryBase is the delay before the first retry.
	RetryBase time.Duration `env:"REDIS_RETRY_BASE_MS" envDefault:"50" unit:"ms" min:"1"`
	// RetryCap is the longest delay between two retries.
	RetryCap time.Duration `env:"REDIS_RETRY_CAP_MS" envDefault:"2000" unit:"ms" min:"1"`
}

// CacheTLS is the encryption of the connection.
type CacheTLS struct {
	Enabled config.Derived[bool]          `env:"REDIS_TLS" envDefault:"false" fact:"cache.tls"`
	CA      config.Derived[config.Secret] `env:"REDIS_TLS_CA" fact:"cache.ca"`
	// Cert and Key are for servers that ask their clients for a certificate.
	Cert config.Secret `env:"REDIS_TLS_CERT"`
	Key  config.Secret `env:"REDIS_TLS_KEY"`
	// RejectUnauthorized refuses a server whose certificate does not verify.
	RejectUnauthorized *bool `env:"REDIS_TLS_REJECT_UNAUTHORIZED" envDefault:"true"`
	// ServerName is the name the certificate must be for.
	ServerName config.Derived[string] `env:"REDIS_TLS_SERVERNAME" fact:"cache.servername"`
}

// Sentinel is how the client finds the master when Mode is sentinel.
type Sentinel struct {
	// Name is the name of the group of servers.
	Name     config.Derived[string]        `env:"REDIS_SENTINEL_NAME" envDefault:"mymaster" fact:"cache.sentinel-name"`
	Nodes    config.Derived[string]        `env:"REDIS_SENTINEL_NODES" envDefault:"" fact:"cache.sentinels"`
	Username config.Derived[config.Secret] `env:"REDIS_SENTINEL_USERNAME" fact:"cache.sentinel-username"`
	Password config.Derived[config.Secret] `env:"REDIS_SENTINEL_PASSWORD" fact:"cache.sentinel-password"`
	TLS      config.Derived[bool]          `env:"REDIS_SENTINEL_TLS" envDefault:"false" fact:"cache.sentinel-tls"`
	// CommandTimeout bounds a question to a sentinel.
	CommandTimeout time.Duration `env:"REDIS_SENTINEL_COMMAND_TIMEOUT" unit:"ms" min:"0"`
	// FailoverDetector listens to the sentinels for a new master.
	FailoverDetector bool `env:"REDIS_SENTINEL_FAILOVER_DETECTOR" envDefault:"false"`
	// Role is the kind of server to talk to.
	Role SentinelRole `env:"REDIS_SENTINEL_ROLE" envDefault:"master" oneof:"master|slave"`
}

// RateLimitStore is where rate limits are counted.
type RateLimitStore string

// The rate limit stores.
const (
	RateLimitRedis  RateLimitStore = "redis"
	RateLimitMemory RateLimitStore = "memory"
)

// CacheMode is how the cache is reached.
type CacheMode string

// The cache modes.
const (
	CacheStandalone CacheMode = "standalone"
	CacheSentinel   CacheMode = "sentinel"
)

// SentinelRole is the kind of server that sentinels are asked for.
type SentinelRole string

// The roles, in the words of the protocol.
const (
	SentinelMaster SentinelRole = "master"
	SentinelSlave  SentinelRole = "slave"
)
