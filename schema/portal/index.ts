// Generated from Go package github.com/tenantry/tenantry/config/portal: do not edit.
import { readFileSync, statSync } from "node:fs"
import { Config, ConfigError, Duration, Effect, Either, Option, Redacted } from "effect"

/** Settings is the whole configuration, by the application's own groups. */
export interface Settings {
  readonly app: App
  readonly auth: Auth
  readonly cache: Cache
  readonly cluster: Cluster
  readonly deployment: Deployment
  readonly doppler: Doppler
  readonly mail: Mail
  readonly sender: Sender
  readonly jobs: Jobs
  readonly purge: Purge
  readonly security: Security
  readonly storage: Storage
  readonly telemetry: Telemetry
  readonly webhook: Webhook
  readonly webSocket: WebSocket
  readonly database: Database
  readonly ai: AI
}

/** App is how the API presents itself. */
export interface App {
  /**
   * baseURL is where clients reach the API, scheme included.
   *
   * `API_BASE_URL`: string, by default `http://localhost:4000`
   */
  readonly baseURL: string
  /**
   * name is the product's name in mails and pages.
   *
   * `APP_NAME`: string, by default `Parametric Portal`
   */
  readonly name: string
  /**
   * corsOrigins are the origins browsers may call from, comma-separated; the API's own unless set.
   *
   * `CORS_ORIGINS`: string, by default `*`
   */
  readonly corsOrigins: string
  /**
   * hostname overrides the host name that the container runtime sets.
   *
   * `HOSTNAME`: string
   */
  readonly hostname: Option.Option<string>
  /**
   * logLevel is the least severe level that is logged.
   *
   * `LOG_LEVEL`: one of All, Fatal, Error, Warning, Info, Debug, Trace, None
   */
  readonly logLevel: Option.Option<"All" | "Fatal" | "Error" | "Warning" | "Info" | "Debug" | "Trace" | "None">
  /**
   * environment is the Node.js environment.
   *
   * `NODE_ENV`: string, by default `development`
   */
  readonly environment: string
  /**
   * port is where the API listens for HTTP and WebSocket.
   *
   * `PORT`: integer, 1 to 65535, by default `4000`
   */
  readonly port: number
}

/** Auth is sessions and passkeys. */
export interface Auth {
  /**
   * maxSessionsPerUser is how many sessions one user may keep open.
   *
   * `MAX_SESSIONS_PER_USER`: integer, at least 1, by default `5`
   */
  readonly maxSessionsPerUser: number
  /**
   * sessionCacheCapacity is how many sessions each replica remembers.
   *
   * `SESSION_CACHE_CAPACITY`: integer, at least 1, by default `5000`
   */
  readonly sessionCacheCapacity: number
  /**
   * sessionCacheTTL is how long a replica trusts what it remembers, in whole seconds; a revoked session
   * may live on for as long.
   *
   * `SESSION_CACHE_TTL_SECONDS`: integer in s, at least 1, by default `300`
   */
  readonly sessionCacheTTL: Duration.Duration
  /**
   * webAuthnOrigin is the origin passkeys are used from; the API's own unless set.
   *
   * `WEBAUTHN_ORIGIN`: string, by default `http://localhost:3000`
   */
  readonly webAuthnOrigin: string
  /**
   * webAuthnRPID is the domain passkeys are bound to; changing it orphans them.
   *
   * `WEBAUTHN_RP_ID`: string, by default `localhost`
   */
  readonly webAuthnRPID: string
  /**
   * webAuthnRPName is the name a browser shows when it asks for a passkey.
   *
   * `WEBAUTHN_RP_NAME`: string, by default `Parametric Portal`
   */
  readonly webAuthnRPName: string
}

/**
 * Cache is the Redis client behind sessions, rate limits and broadcasts. Where the cache is and how to
 * sign in is derived; the rest is the client's behaviour. Times are whole milliseconds.
 */
export interface Cache {
  /**
   * prefix stands before every persisted key.
   *
   * `CACHE_PREFIX`: string, by default `persist:`
   */
  readonly prefix: string
  /**
   * rateLimitPrefix stands before every rate limit's key.
   *
   * `RATE_LIMIT_PREFIX`: string, by default `rl:`
   */
  readonly rateLimitPrefix: string
  /**
   * rateLimitStore is where rate limits are counted: memory counts per replica.
   *
   * `RATE_LIMIT_STORE`: one of redis, memory, by default `redis`
   */
  readonly rateLimitStore: "redis" | "memory"
  /**
   * mode is how the cache is reached.
   *
   * `REDIS_MODE`: one of standalone, sentinel, by default `standalone`
   */
  readonly mode: "standalone" | "sentinel"
  /** `REDIS_HOST`: string, by default `localhost` */
  readonly host: string
  /** `REDIS_PORT`: integer, 1 to 65535, by default `6379` */
  readonly port: number
  /** `REDIS_USERNAME`: string */
  readonly username: Option.Option<string>
  /** `REDIS_PASSWORD`: secret */
  readonly password: Option.Option<Redacted.Redacted>
  readonly tls: CacheTLS
  readonly sentinel: Sentinel
  /**
   * db is the number of the database.
   *
   * `REDIS_DB`: integer, at least 0
   */
  readonly db: Option.Option<number>
  /**
   * connectionName is what the server lists the client as.
   *
   * `REDIS_CONNECTION_NAME`: string, by default `parametric-portal`
   */
  readonly connectionName: string
  /**
   * autoPipeline gathers the commands of one tick into one round trip.
   *
   * `REDIS_AUTO_PIPELINE`: true or false, by default `false`
   */
  readonly autoPipeline: boolean
  /**
   * autoResendUnfulfilled repeats unanswered blocking commands after a reconnect.
   *
   * `REDIS_AUTO_RESEND_UNFULFILLED`: true or false, by default `true`
   */
  readonly autoResendUnfulfilled: boolean
  /**
   * autoResubscribe subscribes again after a reconnect.
   *
   * `REDIS_AUTO_RESUBSCRIBE`: true or false, by default `true`
   */
  readonly autoResubscribe: boolean
  /**
   * blockingTimeout bounds a blocking command.
   *
   * `REDIS_BLOCKING_TIMEOUT`: integer in ms, at least 0
   */
  readonly blockingTimeout: Option.Option<Duration.Duration>
  /**
   * commandTimeout bounds any other command.
   *
   * `REDIS_COMMAND_TIMEOUT`: integer in ms, at least 0
   */
  readonly commandTimeout: Option.Option<Duration.Duration>
  /**
   * connectTimeout bounds the making of a connection.
   *
   * `REDIS_CONNECT_TIMEOUT`: integer in ms, at least 1, by default `5000`
   */
  readonly connectTimeout: Duration.Duration
  /**
   * socketTimeout is how long a silent connection is kept; 0 is for ever.
   *
   * `REDIS_SOCKET_TIMEOUT`: integer in ms, at least 0, by default `15000`
   */
  readonly socketTimeout: Duration.Duration
  /**
   * keepAlive is the delay before TCP's first probe; 0 sends none.
   *
   * `REDIS_KEEP_ALIVE`: integer in ms, at least 0, by default `0`
   */
  readonly keepAlive: Duration.Duration
  /**
   * noDelay sends small packets at once.
   *
   * `REDIS_NO_DELAY`: true or false, by default `true`
   */
  readonly noDelay: boolean
  /**
   * disableClientInfo keeps the client's name and version from the server.
   *
   * `REDIS_DISABLE_CLIENT_INFO`: true or false, by default `false`
   */
  readonly disableClientInfo: boolean
  /**
   * enableOfflineQueue holds commands back until there is a connection.
   *
   * `REDIS_ENABLE_OFFLINE_QUEUE`: true or false, by default `true`
   */
  readonly enableOfflineQueue: boolean
  /**
   * lazyConnect connects at the first command.
   *
   * `REDIS_LAZY_CONNECT`: true or false, by default `false`
   */
  readonly lazyConnect: boolean
  /**
   * readyCheck waits until the server has loaded its data.
   *
   * `REDIS_READY_CHECK`: true or false, by default `true`
   */
  readonly readyCheck: boolean
  /**
   * maxLoadingRetryTime bounds the wait between two such checks; 0 is no bound.
   *
   * `REDIS_MAX_LOADING_RETRY_TIME`: integer in ms, at least 0, by default `10000`
   */
  readonly maxLoadingRetryTime: Duration.Duration
  /**
   * maxRetries is how often a connection is tried again; 0 is never.
   *
   * `REDIS_MAX_RETRIES`: integer, at least 0, by default `3`
   */
  readonly maxRetries: number
  /**
   * maxRetriesPerRequest is the same for a command; 0 is never.
   *
   * `REDIS_MAX_RETRIES_PER_REQUEST`: integer, at least 0, by default `20`
   */
  readonly maxRetriesPerRequest: number
  /**
   * retryBase is the delay before the first retry.
   *
   * `REDIS_RETRY_BASE_MS`: integer in ms, at least 1, by default `50`
   */
  readonly retryBase: Duration.Duration
  /**
   * retryCap is the longest delay between two retries.
   *
   * `REDIS_RETRY_CAP_MS`: integer in ms, at least 1, by default `2000`
   */
  readonly retryCap: Duration.Duration
}

/** CacheTLS is the encryption of the connection. */
export interface CacheTLS {
  /** `REDIS_TLS`: true or false, by default `false` */
  readonly enabled: boolean
  /** `REDIS_TLS_CA`: secret */
  readonly ca: Option.Option<Redacted.Redacted>
  /**
   * cert and key are for servers that ask their clients for a certificate.
   *
   * `REDIS_TLS_CERT`: secret
   */
  readonly cert: Option.Option<Redacted.Redacted>
  /**
   * cert and key are for servers that ask their clients for a certificate.
   *
   * `REDIS_TLS_KEY`: secret
   */
  readonly key: Option.Option<Redacted.Redacted>
  /**
   * rejectUnauthorized refuses a server whose certificate does not verify.
   *
   * `REDIS_TLS_REJECT_UNAUTHORIZED`: true or false, by default `true`
   */
  readonly rejectUnauthorized: boolean
  /**
   * serverName is the name the certificate must be for.
   *
   * `REDIS_TLS_SERVERNAME`: string
   */
  readonly serverName: Option.Option<string>
}

/** Sentinel is how the client finds the master when Mode is sentinel. */
export interface Sentinel {
  /**
   * name is the name of the group of servers.
   *
   * `REDIS_SENTINEL_NAME`: string, by default `mymaster`
   */
  readonly name: string
  /** `REDIS_SENTINEL_NODES`: string, by default empty */
  readonly nodes: string
  /** `REDIS_SENTINEL_USERNAME`: secret */
  readonly username: Option.Option<Redacted.Redacted>
  /** `REDIS_SENTINEL_PASSWORD`: secret */
  readonly password: Option.Option<Redacted.Redacted>
  /** `REDIS_SENTINEL_TLS`: true or false, by default `false` */
  readonly tls: boolean
  /**
   * commandTimeout bounds a question to a sentinel.
   *
   * `REDIS_SENTINEL_COMMAND_TIMEOUT`: integer in ms, at least 0
   */
  readonly commandTimeout: Option.Option<Duration.Duration>
  /**
   * failoverDetector listens to the sentinels for a new master.
   *
   * `REDIS_SENTINEL_FAILOVER_DETECTOR`: true or false, by default `false`
   */
  readonly failoverDetector: boolean
  /**
   * role is the kind of server to talk to.
   *
   * `REDIS_SENTINEL_ROLE`: one of master, slave, by default `master`
   */
  readonly role: "master" | "slave"
}

/** Cluster is how the API watches its own replicas. */
export interface Cluster {
  /**
   * healthMode is how it tells a live replica: by its pod or by asking it.
   *
   * `CLUSTER_HEALTH_MODE`: one of auto, k8s, ping, by default `auto`
   */
  readonly healthMode: "auto" | "k8s" | "ping"
  /**
   * labelSelector finds the pods of the API.
   *
   * `K8S_LABEL_SELECTOR`: string, by default `app=parametric-portal`
   */
  readonly labelSelector: string
  /**
   * namespace is the pod's. The application reads it in two places with two defaults, "default" here
   * and "parametric" in its telemetry; in a cluster neither is ever used.
   *
   * `K8S_NAMESPACE`: string, by default `default`
   */
  readonly namespace: string
}

/** Deployment is where the API runs. */
export interface Deployment {
  /**
   * mode is who operates it.
   *
   * `DEPLOYMENT_MODE`: one of cloud, selfhosted, required
   */
  readonly mode: "cloud" | "selfhosted"
  /**
   * proxyHops is how many proxies stand between a client and the API.
   *
   * `PROXY_HOPS`: integer, at least 0, by default `0`
   */
  readonly proxyHops: number
  /**
   * trustProxy is whether the forwarded headers are believed.
   *
   * `TRUST_PROXY`: true or false, by default `false`
   */
  readonly trustProxy: boolean
}

/** Doppler is the secret manager that the API refreshes its own secrets from. */
export interface Doppler {
  /**
   * config is the environment within the project, such as prd.
   *
   * `DOPPLER_CONFIG`: string, required
   */
  readonly config: string
  /**
   * project is the project's name.
   *
   * `DOPPLER_PROJECT`: string, required
   */
  readonly project: string
  /**
   * refresh is the time between two refreshes, in whole milliseconds.
   *
   * `DOPPLER_REFRESH_MS`: integer in ms, at least 1, by default `300000`
   */
  readonly refresh: Duration.Duration
  /**
   * token is a service token for that project and config.
   *
   * `DOPPLER_TOKEN`: secret, required
   */
  readonly token: Redacted.Redacted
}

/** Mail is who delivers mail: Resend, Postmark, SES or SMTP. */
export type Mail = Resend | Postmark | SES | SMTP

/** Resend delivers through resend.com. */
export interface Resend {
  readonly _tag: "Resend"
  /** `RESEND_API_KEY`: secret, required */
  readonly apiKey: Redacted.Redacted
  /**
   * endpoint is the URL mails are posted to.
   *
   * `RESEND_ENDPOINT`: string, by default `https://api.resend.com/emails`
   */
  readonly endpoint: string
}

/** Postmark delivers through postmarkapp.com. */
export interface Postmark {
  readonly _tag: "Postmark"
  /** `POSTMARK_TOKEN`: secret, required */
  readonly token: Redacted.Redacted
  /**
   * endpoint is the URL mails are posted to.
   *
   * `POSTMARK_ENDPOINT`: string, by default `https://api.postmarkapp.com/email/withTemplate`
   */
  readonly endpoint: string
}

/** SES delivers through Amazon SES, with the credentials of its environment. */
export interface SES {
  readonly _tag: "SES"
  /**
   * endpoint replaces the region's own URL.
   *
   * `SES_ENDPOINT`: string
   */
  readonly endpoint: Option.Option<string>
  /** `SES_REGION`: string, by default `us-east-1` */
  readonly region: string
}

/** SMTP delivers through a mail server. */
export interface SMTP {
  readonly _tag: "SMTP"
  /** `SMTP_HOST`: string, required */
  readonly host: string
  /** `SMTP_PORT`: integer, 1 to 65535, by default `587` */
  readonly port: number
  /**
   * secure speaks TLS from the first byte, as port 465 expects.
   *
   * `SMTP_SECURE`: true or false, by default `false`
   */
  readonly secure: boolean
  /**
   * requireTLS refuses a server that does not offer STARTTLS.
   *
   * `SMTP_REQUIRE_TLS`: true or false, by default `false`
   */
  readonly requireTLS: boolean
  /**
   * user and pass are for servers that ask for them.
   *
   * `SMTP_USER`: string
   */
  readonly user: Option.Option<string>
  /**
   * user and pass are for servers that ask for them.
   *
   * `SMTP_PASS`: secret
   */
  readonly pass: Option.Option<Redacted.Redacted>
}

/** Sender is what mail has in common, whoever delivers it. */
export interface Sender {
  /**
   * from is the sender's address.
   *
   * `EMAIL_FROM`: string, by default `noreply@parametric.dev`
   */
  readonly from: string
  /**
   * timeout bounds one delivery, in whole milliseconds.
   *
   * `EMAIL_TIMEOUT_MS`: integer in ms, at least 1, by default `15000`
   */
  readonly timeout: Duration.Duration
}

/** Jobs is the queue of background jobs. */
export interface Jobs {
  /**
   * dlqCheckInterval is the time between two looks at the dead letters, in whole milliseconds.
   *
   * `JOB_DLQ_CHECK_INTERVAL_MS`: integer in ms, at least 1, by default `300000`
   */
  readonly dlqCheckInterval: Duration.Duration
  /**
   * dlqMaxRetries is how often a dead letter is tried again; 0 is never.
   *
   * `JOB_DLQ_MAX_RETRIES`: integer, at least 0, by default `3`
   */
  readonly dlqMaxRetries: number
}

/** Purge is when old records are deleted. */
export interface Purge {
  readonly apiKeys: Retention
  readonly assets: Retention
  readonly eventJournal: Retention
  readonly jobDLQ: Retention
  readonly kvStore: Retention
  readonly mfaSecrets: Retention
  readonly oAuthAccounts: Retention
  readonly sessions: Retention
  /**
   * s3BatchSize is how many objects one request deletes.
   *
   * `PURGE_S3_BATCH_SIZE`: integer, at least 1, by default `100`
   */
  readonly s3BatchSize: number
  /**
   * s3Concurrency is how many such requests run at once.
   *
   * `PURGE_S3_CONCURRENCY`: integer, at least 1, by default `2`
   */
  readonly s3Concurrency: number
}

/** Retention is one purge job. */
export interface Retention {
  /** schedule is when it runs. */
  readonly schedule: string
  /** keep is the age at which a record is deleted, in whole days. */
  readonly keep: Duration.Duration
}

/** Security is the encryption of stored secrets and the sign-in providers. */
export interface Security {
  readonly encryption: Encryption
  /**
   * encryptionKeyVersion is the version that new secrets are encrypted with.
   *
   * `ENCRYPTION_KEY_VERSION`: integer, at least 1
   */
  readonly encryptionKeyVersion: Option.Option<number>
  readonly oAuth: OAuth
}

/** Encryption is the keys of stored secrets: SingleKey or KeyRing. */
export type Encryption = SingleKey | KeyRing

/** SingleKey is one key for everything. */
export interface SingleKey {
  readonly _tag: "SingleKey"
  /** `ENCRYPTION_KEY`: secret, required */
  readonly key: Redacted.Redacted
}

/** KeyRing is several versions of the key, to change it without losing what an older one encrypted. */
export interface KeyRing {
  readonly _tag: "KeyRing"
  /** `ENCRYPTION_KEYS`: secret, required */
  readonly keys: Redacted.Redacted
}

/** OAuth is what the sign-in providers know the API by. A provider without its secret is off. */
export interface OAuth {
  /**
   * applePrivateKey is in PEM.
   *
   * `OAUTH_APPLE_PRIVATE_KEY`: secret
   */
  readonly applePrivateKey: Option.Option<Redacted.Redacted>
  /** `OAUTH_GITHUB_CLIENT_SECRET`: secret */
  readonly gitHubClientSecret: Option.Option<Redacted.Redacted>
  /** `OAUTH_GOOGLE_CLIENT_SECRET`: secret */
  readonly googleClientSecret: Option.Option<Redacted.Redacted>
  /** `OAUTH_MICROSOFT_CLIENT_SECRET`: secret */
  readonly microsoftClientSecret: Option.Option<Redacted.Redacted>
}

/** Storage is the S3 client. */
export interface Storage {
  /** `STORAGE_ENDPOINT`: string */
  readonly endpoint: Option.Option<string>
  /** `STORAGE_BUCKET`: string, by default `parametric` */
  readonly bucket: string
  /** `STORAGE_REGION`: string, by default `us-east-1` */
  readonly region: string
  /** `STORAGE_FORCE_PATH_STYLE`: true or false, by default `false` */
  readonly forcePathStyle: boolean
  /** `STORAGE_ACCESS_KEY_ID`: secret, required */
  readonly accessKeyID: Redacted.Redacted
  /** `STORAGE_SECRET_ACCESS_KEY`: secret, required */
  readonly secretAccessKey: Redacted.Redacted
  /**
   * sessionToken belongs to temporary credentials.
   *
   * `STORAGE_SESSION_TOKEN`: secret
   */
  readonly sessionToken: Option.Option<Redacted.Redacted>
  /**
   * maxAttempts is how often a request is sent at most, the first included.
   *
   * `STORAGE_MAX_ATTEMPTS`: integer, at least 1, by default `3`
   */
  readonly maxAttempts: number
  /**
   * retryMode is how the attempts are spaced.
   *
   * `STORAGE_RETRY_MODE`: one of adaptive, legacy, standard, by default `standard`
   */
  readonly retryMode: "adaptive" | "legacy" | "standard"
}

/** Telemetry is traces, metrics and logs over OTLP, and what they say of their origin. */
export interface Telemetry {
  /**
   * endpoint is the collector's URL.
   *
   * `OTEL_EXPORTER_OTLP_ENDPOINT`: string
   */
  readonly endpoint: Option.Option<string>
  /**
   * logsEndpoint, metricsEndpoint and tracesEndpoint send one signal elsewhere.
   *
   * `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT`: string
   */
  readonly logsEndpoint: Option.Option<string>
  /**
   * logsEndpoint, metricsEndpoint and tracesEndpoint send one signal elsewhere.
   *
   * `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`: string
   */
  readonly metricsEndpoint: Option.Option<string>
  /**
   * logsEndpoint, metricsEndpoint and tracesEndpoint send one signal elsewhere.
   *
   * `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`: string
   */
  readonly tracesEndpoint: Option.Option<string>
  /**
   * headers go with every export, key=value between commas. They are no secret: put no token here.
   *
   * `OTEL_EXPORTER_OTLP_HEADERS`: string, by default empty
   */
  readonly headers: string
  /**
   * protocol is the encoding of an export.
   *
   * `OTEL_EXPORTER_OTLP_PROTOCOL`: one of http/protobuf, http/json, by default `http/protobuf`
   */
  readonly protocol: "http/protobuf" | "http/json"
  /**
   * logsExporter is where a signal goes.
   *
   * `OTEL_LOGS_EXPORTER`: string, by default `otlp`
   */
  readonly logsExporter: string
  /**
   * metricsExporter is where a signal goes.
   *
   * `OTEL_METRICS_EXPORTER`: one of none, otlp, by default `otlp`
   */
  readonly metricsExporter: "none" | "otlp"
  /**
   * tracesExporter is where a signal goes.
   *
   * `OTEL_TRACES_EXPORTER`: one of none, otlp, by default `otlp`
   */
  readonly tracesExporter: "none" | "otlp"
  /** `OTEL_SERVICE_NAME`: string, by default `api` */
  readonly serviceName: string
  /** `OTEL_SERVICE_VERSION`: string, by default `0.0.0` */
  readonly serviceVersion: string
  /** `K8S_CONTAINER_NAME`: string, by default empty */
  readonly container: string
  /** `K8S_DEPLOYMENT_NAME`: string, by default empty */
  readonly deployment: string
  /** `K8S_NODE_NAME`: string, by default empty */
  readonly node: string
  /** `K8S_POD_NAME`: string, by default empty */
  readonly pod: string
}

/** Webhook is how a new webhook endpoint is verified. */
export interface Webhook {
  /**
   * verifyMaxRetries is how often a failed verification is repeated; 0 is never.
   *
   * `WEBHOOK_VERIFY_MAX_RETRIES`: integer, at least 0, by default `3`
   */
  readonly verifyMaxRetries: number
  /**
   * verifyTimeout bounds one verification, in whole milliseconds.
   *
   * `WEBHOOK_VERIFY_TIMEOUT_MS`: integer in ms, at least 1, by default `10000`
   */
  readonly verifyTimeout: Duration.Duration
}

/** WebSocket is the live connections. Its times are whole milliseconds. */
export interface WebSocket {
  /**
   * broadcastChannel is the cache's channel that carries messages between replicas.
   *
   * `WS_BROADCAST_CHANNEL`: string, by default `ws:broadcast`
   */
  readonly broadcastChannel: string
  /**
   * maxRoomsPerSocket is how many rooms one connection may join.
   *
   * `WS_MAX_ROOMS_PER_SOCKET`: integer, at least 1, by default `10`
   */
  readonly maxRoomsPerSocket: number
  /**
   * pingInterval is the time between two pings.
   *
   * `WS_PING_INTERVAL_MS`: integer in ms, at least 1, by default `30000`
   */
  readonly pingInterval: Duration.Duration
  /**
   * pongTimeout is how long a silent connection is kept.
   *
   * `WS_PONG_TIMEOUT_MS`: integer in ms, at least 1, by default `90000`
   */
  readonly pongTimeout: Duration.Duration
  /**
   * reaperInterval is the time between two searches for silent connections.
   *
   * `WS_REAPER_INTERVAL_MS`: integer in ms, at least 1, by default `15000`
   */
  readonly reaperInterval: Duration.Duration
}

/**
 * Database is the PostgreSQL client and its pool. Times are whole milliseconds; those that are pointers
 * may be 0, which lifts the limit.
 */
export interface Database {
  /**
   * url holds host, database, user and password.
   *
   * `DATABASE_URL`: secret, required
   */
  readonly url: Redacted.Redacted
  readonly tls: DatabaseTLS
  /**
   * appName is what the server lists the connections as.
   *
   * `POSTGRES_APP_NAME`: string, by default `parametric-portal`
   */
  readonly appName: string
  /**
   * options are command-line options for the server process.
   *
   * `POSTGRES_OPTIONS`: string, by default empty
   */
  readonly options: string
  /**
   * poolMax and poolMin bound the connections of each replica.
   *
   * `POSTGRES_POOL_MAX`: integer, at least 1, by default `10`
   */
  readonly poolMax: number
  /**
   * poolMax and poolMin bound the connections of each replica.
   *
   * `POSTGRES_POOL_MIN`: integer, at least 0, by default `2`
   */
  readonly poolMin: number
  /**
   * connectTimeout bounds the making of a connection.
   *
   * `POSTGRES_CONNECT_TIMEOUT_MS`: integer in ms, at least 1, by default `5000`
   */
  readonly connectTimeout: Duration.Duration
  /**
   * connectionTTL is the age at which a connection is replaced.
   *
   * `POSTGRES_CONNECTION_TTL_MS`: integer in ms, at least 0, by default `900000`
   */
  readonly connectionTTL: Duration.Duration
  /**
   * idleTimeout is how long an unused connection is kept.
   *
   * `POSTGRES_IDLE_TIMEOUT_MS`: integer in ms, at least 0, by default `30000`
   */
  readonly idleTimeout: Duration.Duration
  /**
   * idleInTransactionTimeout ends a session that leaves a transaction open.
   *
   * `POSTGRES_IDLE_IN_TXN_TIMEOUT_MS`: integer in ms, at least 0, by default `60000`
   */
  readonly idleInTransactionTimeout: Duration.Duration
  /**
   * lockTimeout bounds the wait for a lock.
   *
   * `POSTGRES_LOCK_TIMEOUT_MS`: integer in ms, at least 0, by default `10000`
   */
  readonly lockTimeout: Duration.Duration
  /**
   * statementTimeout bounds a statement.
   *
   * `POSTGRES_STATEMENT_TIMEOUT_MS`: integer in ms, at least 0, by default `30000`
   */
  readonly statementTimeout: Duration.Duration
  /**
   * transactionTimeout bounds a transaction.
   *
   * `POSTGRES_TRANSACTION_TIMEOUT_MS`: integer in ms, at least 0, by default `120000`
   */
  readonly transactionTimeout: Duration.Duration
  readonly trigram: Trigram
}

/** DatabaseTLS is the encryption of the connection. */
export interface DatabaseTLS {
  /** `POSTGRES_SSL`: true or false, by default `false` */
  readonly enabled: boolean
  /** `POSTGRES_SSL_CA`: string */
  readonly ca: Option.Option<string>
  /** `POSTGRES_SSL_SERVERNAME`: string */
  readonly serverName: Option.Option<string>
  /**
   * cert and key are for servers that ask their clients for a certificate. The application does not
   * treat Key as a secret, so the key itself is refused here.
   *
   * `POSTGRES_SSL_CERT`: string
   */
  readonly cert: Option.Option<string>
  /**
   * cert and key are for servers that ask their clients for a certificate. The application does not
   * treat Key as a secret, so the key itself is refused here.
   *
   * `POSTGRES_SSL_KEY`: string
   */
  readonly key: Option.Option<string>
  /**
   * minVersion is the oldest protocol accepted, such as TLSv1.3.
   *
   * `POSTGRES_SSL_MIN_VERSION`: string, by default `TLSv1.2`
   */
  readonly minVersion: string
  /**
   * rejectUnauthorized refuses a server whose certificate does not verify.
   *
   * `POSTGRES_SSL_REJECT_UNAUTHORIZED`: true or false, by default `true`
   */
  readonly rejectUnauthorized: boolean
}

/** Trigram is how alike two texts must be for a fuzzy search to match, from 0 to 1. */
export interface Trigram {
  /** `POSTGRES_TRGM_SIMILARITY_THRESHOLD`: number, 0 to 1, by default `0.3` */
  readonly similarity: number
  /** `POSTGRES_TRGM_WORD_SIMILARITY_THRESHOLD`: number, 0 to 1, by default `0.6` */
  readonly wordSimilarity: number
  /** `POSTGRES_TRGM_STRICT_WORD_SIMILARITY_THRESHOLD`: number, 0 to 1, by default `0.5` */
  readonly strictWordSimilarity: number
}

/** AI is the keys of the model providers. */
export interface AI {
  /** `ANTHROPIC_API_KEY`: secret, required */
  readonly anthropic: Redacted.Redacted
  /** `GEMINI_API_KEY`: secret, required */
  readonly gemini: Redacted.Redacted
  /** `OPENAI_API_KEY`: secret, required */
  readonly openAI: Redacted.Redacted
}

/** The settings that the environment holds, or everything that is wrong with it. */
export const load: Effect.Effect<Settings, ConfigError.ConfigError> = Effect.all({
  app: Config.all({
    baseURL: defaulted("API_BASE_URL", "http://localhost:4000", text),
    name: defaulted("APP_NAME", "Parametric Portal", text),
    corsOrigins: defaulted("CORS_ORIGINS", "*", text),
    hostname: optional("HOSTNAME", text),
    logLevel: optional("LOG_LEVEL", oneOf("All", "Fatal", "Error", "Warning", "Info", "Debug", "Trace", "None")),
    environment: defaulted("NODE_ENV", "development", text),
    port: defaulted("PORT", "4000", integer({ min: 1, max: 65535 }))
  }),
  auth: Config.all({
    maxSessionsPerUser: defaulted("MAX_SESSIONS_PER_USER", "5", integer({ min: 1 })),
    sessionCacheCapacity: defaulted("SESSION_CACHE_CAPACITY", "5000", integer({ min: 1 })),
    sessionCacheTTL: defaulted("SESSION_CACHE_TTL_SECONDS", "300", duration("s", { min: 1 })),
    webAuthnOrigin: defaulted("WEBAUTHN_ORIGIN", "http://localhost:3000", text),
    webAuthnRPID: defaulted("WEBAUTHN_RP_ID", "localhost", text),
    webAuthnRPName: defaulted("WEBAUTHN_RP_NAME", "Parametric Portal", text)
  }),
  cache: Config.all({
    prefix: defaulted("CACHE_PREFIX", "persist:", text),
    rateLimitPrefix: defaulted("RATE_LIMIT_PREFIX", "rl:", text),
    rateLimitStore: defaulted("RATE_LIMIT_STORE", "redis", oneOf("redis", "memory")),
    mode: defaulted("REDIS_MODE", "standalone", oneOf("standalone", "sentinel")),
    host: defaulted("REDIS_HOST", "localhost", text),
    port: defaulted("REDIS_PORT", "6379", integer({ min: 1, max: 65535 })),
    username: optional("REDIS_USERNAME", text),
    password: optionalSecret("REDIS_PASSWORD"),
    tls: Config.all({
      enabled: defaulted("REDIS_TLS", "false", boolean),
      ca: optionalSecret("REDIS_TLS_CA"),
      cert: optionalSecret("REDIS_TLS_CERT"),
      key: optionalSecret("REDIS_TLS_KEY"),
      rejectUnauthorized: defaulted("REDIS_TLS_REJECT_UNAUTHORIZED", "true", boolean),
      serverName: optional("REDIS_TLS_SERVERNAME", text)
    }),
    sentinel: Config.all({
      name: defaulted("REDIS_SENTINEL_NAME", "mymaster", text),
      nodes: defaulted("REDIS_SENTINEL_NODES", "", text),
      username: optionalSecret("REDIS_SENTINEL_USERNAME"),
      password: optionalSecret("REDIS_SENTINEL_PASSWORD"),
      tls: defaulted("REDIS_SENTINEL_TLS", "false", boolean),
      commandTimeout: optional("REDIS_SENTINEL_COMMAND_TIMEOUT", duration("ms", { min: 0 })),
      failoverDetector: defaulted("REDIS_SENTINEL_FAILOVER_DETECTOR", "false", boolean),
      role: defaulted("REDIS_SENTINEL_ROLE", "master", oneOf("master", "slave"))
    }),
    db: optional("REDIS_DB", integer({ min: 0 })),
    connectionName: defaulted("REDIS_CONNECTION_NAME", "parametric-portal", text),
    autoPipeline: defaulted("REDIS_AUTO_PIPELINE", "false", boolean),
    autoResendUnfulfilled: defaulted("REDIS_AUTO_RESEND_UNFULFILLED", "true", boolean),
    autoResubscribe: defaulted("REDIS_AUTO_RESUBSCRIBE", "true", boolean),
    blockingTimeout: optional("REDIS_BLOCKING_TIMEOUT", duration("ms", { min: 0 })),
    commandTimeout: optional("REDIS_COMMAND_TIMEOUT", duration("ms", { min: 0 })),
    connectTimeout: defaulted("REDIS_CONNECT_TIMEOUT", "5000", duration("ms", { min: 1 })),
    socketTimeout: defaulted("REDIS_SOCKET_TIMEOUT", "15000", duration("ms", { min: 0 })),
    keepAlive: defaulted("REDIS_KEEP_ALIVE", "0", duration("ms", { min: 0 })),
    noDelay: defaulted("REDIS_NO_DELAY", "true", boolean),
    disableClientInfo: defaulted("REDIS_DISABLE_CLIENT_INFO", "false", boolean),
    enableOfflineQueue: defaulted("REDIS_ENABLE_OFFLINE_QUEUE", "true", boolean),
    lazyConnect: defaulted("REDIS_LAZY_CONNECT", "false", boolean),
    readyCheck: defaulted("REDIS_READY_CHECK", "true", boolean),
    maxLoadingRetryTime: defaulted("REDIS_MAX_LOADING_RETRY_TIME", "10000", duration("ms", { min: 0 })),
    maxRetries: defaulted("REDIS_MAX_RETRIES", "3", integer({ min: 0 })),
    maxRetriesPerRequest: defaulted("REDIS_MAX_RETRIES_PER_REQUEST", "20", integer({ min: 0 })),
    retryBase: defaulted("REDIS_RETRY_BASE_MS", "50", duration("ms", { min: 1 })),
    retryCap: defaulted("REDIS_RETRY_CAP_MS", "2000", duration("ms", { min: 1 }))
  }),
  cluster: Config.all({
    healthMode: defaulted("CLUSTER_HEALTH_MODE", "auto", oneOf("auto", "k8s", "ping")),
    labelSelector: defaulted("K8S_LABEL_SELECTOR", "app=parametric-portal", text),
    namespace: defaulted("K8S_NAMESPACE", "default", text)
  }),
  deployment: Config.all({
    mode: required("DEPLOYMENT_MODE", oneOf("cloud", "selfhosted")),
    proxyHops: defaulted("PROXY_HOPS", "0", integer({ min: 0 })),
    trustProxy: defaulted("TRUST_PROXY", "false", boolean)
  }),
  doppler: Config.all({
    config: required("DOPPLER_CONFIG", text),
    project: required("DOPPLER_PROJECT", text),
    refresh: defaulted("DOPPLER_REFRESH_MS", "300000", duration("ms", { min: 1 })),
    token: requiredSecret("DOPPLER_TOKEN")
  }),
  mail: choice<Resend | Postmark | SES | SMTP>("EMAIL_PROVIDER", "resend", {
    "resend": Config.all({
      _tag: Config.succeed("Resend" as const),
      apiKey: requiredSecret("RESEND_API_KEY"),
      endpoint: defaulted("RESEND_ENDPOINT", "https://api.resend.com/emails", text)
    }),
    "postmark": Config.all({
      _tag: Config.succeed("Postmark" as const),
      token: requiredSecret("POSTMARK_TOKEN"),
      endpoint: defaulted("POSTMARK_ENDPOINT", "https://api.postmarkapp.com/email/withTemplate", text)
    }),
    "ses": Config.all({
      _tag: Config.succeed("SES" as const),
      endpoint: optional("SES_ENDPOINT", text),
      region: defaulted("SES_REGION", "us-east-1", text)
    }),
    "smtp": Config.all({
      _tag: Config.succeed("SMTP" as const),
      host: required("SMTP_HOST", text),
      port: defaulted("SMTP_PORT", "587", integer({ min: 1, max: 65535 })),
      secure: defaulted("SMTP_SECURE", "false", boolean),
      requireTLS: defaulted("SMTP_REQUIRE_TLS", "false", boolean),
      user: optional("SMTP_USER", text),
      pass: optionalSecret("SMTP_PASS")
    })
  }),
  sender: Config.all({
    from: defaulted("EMAIL_FROM", "noreply@parametric.dev", text),
    timeout: defaulted("EMAIL_TIMEOUT_MS", "15000", duration("ms", { min: 1 }))
  }),
  jobs: Config.all({
    dlqCheckInterval: defaulted("JOB_DLQ_CHECK_INTERVAL_MS", "300000", duration("ms", { min: 1 })),
    dlqMaxRetries: defaulted("JOB_DLQ_MAX_RETRIES", "3", integer({ min: 0 }))
  }),
  purge: Config.all({
    apiKeys: Config.all({
      schedule: defaulted("PURGE_API_KEYS_CRON", "0 3 * * 0", cron),
      keep: defaulted("PURGE_API_KEYS_DAYS", "365", duration("days", { min: 1 }))
    }),
    assets: Config.all({
      schedule: defaulted("PURGE_ASSETS_CRON", "0 */6 * * *", cron),
      keep: defaulted("PURGE_ASSETS_DAYS", "30", duration("days", { min: 1 }))
    }),
    eventJournal: Config.all({
      schedule: defaulted("PURGE_EVENT_JOURNAL_CRON", "0 2 * * *", cron),
      keep: defaulted("PURGE_EVENT_JOURNAL_DAYS", "30", duration("days", { min: 1 }))
    }),
    jobDLQ: Config.all({
      schedule: defaulted("PURGE_JOB_DLQ_CRON", "0 2 * * *", cron),
      keep: defaulted("PURGE_JOB_DLQ_DAYS", "30", duration("days", { min: 1 }))
    }),
    kvStore: Config.all({
      schedule: defaulted("PURGE_KV_STORE_CRON", "0 0 * * 0", cron),
      keep: defaulted("PURGE_KV_STORE_DAYS", "90", duration("days", { min: 1 }))
    }),
    mfaSecrets: Config.all({
      schedule: defaulted("PURGE_MFA_SECRETS_CRON", "0 4 * * 0", cron),
      keep: defaulted("PURGE_MFA_SECRETS_DAYS", "90", duration("days", { min: 1 }))
    }),
    oAuthAccounts: Config.all({
      schedule: defaulted("PURGE_OAUTH_ACCOUNTS_CRON", "0 5 * * 0", cron),
      keep: defaulted("PURGE_OAUTH_ACCOUNTS_DAYS", "90", duration("days", { min: 1 }))
    }),
    sessions: Config.all({
      schedule: defaulted("PURGE_SESSIONS_CRON", "0 1 * * *", cron),
      keep: defaulted("PURGE_SESSIONS_DAYS", "30", duration("days", { min: 1 }))
    }),
    s3BatchSize: defaulted("PURGE_S3_BATCH_SIZE", "100", integer({ min: 1 })),
    s3Concurrency: defaulted("PURGE_S3_CONCURRENCY", "2", integer({ min: 1 }))
  }),
  security: Effect.all({
    encryption: exactlyOne<SingleKey | KeyRing>([
      {
        given: ["ENCRYPTION_KEY", "ENCRYPTION_KEY_FILE"],
        read: Config.all({
          _tag: Config.succeed("SingleKey" as const),
          key: requiredSecret("ENCRYPTION_KEY")
        })
      },
      {
        given: ["ENCRYPTION_KEYS", "ENCRYPTION_KEYS_FILE"],
        read: Config.all({
          _tag: Config.succeed("KeyRing" as const),
          keys: requiredSecret("ENCRYPTION_KEYS")
        })
      }
    ]),
    encryptionKeyVersion: optional("ENCRYPTION_KEY_VERSION", integer({ min: 1 })),
    oAuth: Config.all({
      applePrivateKey: optionalSecret("OAUTH_APPLE_PRIVATE_KEY"),
      gitHubClientSecret: optionalSecret("OAUTH_GITHUB_CLIENT_SECRET"),
      googleClientSecret: optionalSecret("OAUTH_GOOGLE_CLIENT_SECRET"),
      microsoftClientSecret: optionalSecret("OAUTH_MICROSOFT_CLIENT_SECRET")
    })
  }, { mode: "validate" }).pipe(Effect.mapError(together)),
  storage: Config.all({
    endpoint: optional("STORAGE_ENDPOINT", text),
    bucket: defaulted("STORAGE_BUCKET", "parametric", text),
    region: defaulted("STORAGE_REGION", "us-east-1", text),
    forcePathStyle: defaulted("STORAGE_FORCE_PATH_STYLE", "false", boolean),
    accessKeyID: requiredSecret("STORAGE_ACCESS_KEY_ID"),
    secretAccessKey: requiredSecret("STORAGE_SECRET_ACCESS_KEY"),
    sessionToken: optionalSecret("STORAGE_SESSION_TOKEN"),
    maxAttempts: defaulted("STORAGE_MAX_ATTEMPTS", "3", integer({ min: 1 })),
    retryMode: defaulted("STORAGE_RETRY_MODE", "standard", oneOf("adaptive", "legacy", "standard"))
  }),
  telemetry: Config.all({
    endpoint: optional("OTEL_EXPORTER_OTLP_ENDPOINT", text),
    logsEndpoint: optional("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", text),
    metricsEndpoint: optional("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", text),
    tracesEndpoint: optional("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", text),
    headers: defaulted("OTEL_EXPORTER_OTLP_HEADERS", "", text),
    protocol: defaulted("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", oneOf("http/protobuf", "http/json")),
    logsExporter: defaulted("OTEL_LOGS_EXPORTER", "otlp", text),
    metricsExporter: defaulted("OTEL_METRICS_EXPORTER", "otlp", oneOf("none", "otlp")),
    tracesExporter: defaulted("OTEL_TRACES_EXPORTER", "otlp", oneOf("none", "otlp")),
    serviceName: defaulted("OTEL_SERVICE_NAME", "api", text),
    serviceVersion: defaulted("OTEL_SERVICE_VERSION", "0.0.0", text),
    container: defaulted("K8S_CONTAINER_NAME", "", text),
    deployment: defaulted("K8S_DEPLOYMENT_NAME", "", text),
    node: defaulted("K8S_NODE_NAME", "", text),
    pod: defaulted("K8S_POD_NAME", "", text)
  }),
  webhook: Config.all({
    verifyMaxRetries: defaulted("WEBHOOK_VERIFY_MAX_RETRIES", "3", integer({ min: 0 })),
    verifyTimeout: defaulted("WEBHOOK_VERIFY_TIMEOUT_MS", "10000", duration("ms", { min: 1 }))
  }),
  webSocket: Config.all({
    broadcastChannel: defaulted("WS_BROADCAST_CHANNEL", "ws:broadcast", text),
    maxRoomsPerSocket: defaulted("WS_MAX_ROOMS_PER_SOCKET", "10", integer({ min: 1 })),
    pingInterval: defaulted("WS_PING_INTERVAL_MS", "30000", duration("ms", { min: 1 })),
    pongTimeout: defaulted("WS_PONG_TIMEOUT_MS", "90000", duration("ms", { min: 1 })),
    reaperInterval: defaulted("WS_REAPER_INTERVAL_MS", "15000", duration("ms", { min: 1 }))
  }),
  database: Config.all({
    url: requiredSecret("DATABASE_URL"),
    tls: Config.all({
      enabled: defaulted("POSTGRES_SSL", "false", boolean),
      ca: optional("POSTGRES_SSL_CA", text),
      serverName: optional("POSTGRES_SSL_SERVERNAME", text),
      cert: optional("POSTGRES_SSL_CERT", text),
      key: optional("POSTGRES_SSL_KEY", text),
      minVersion: defaulted("POSTGRES_SSL_MIN_VERSION", "TLSv1.2", text),
      rejectUnauthorized: defaulted("POSTGRES_SSL_REJECT_UNAUTHORIZED", "true", boolean)
    }),
    appName: defaulted("POSTGRES_APP_NAME", "parametric-portal", text),
    options: defaulted("POSTGRES_OPTIONS", "", text),
    poolMax: defaulted("POSTGRES_POOL_MAX", "10", integer({ min: 1 })),
    poolMin: defaulted("POSTGRES_POOL_MIN", "2", integer({ min: 0 })),
    connectTimeout: defaulted("POSTGRES_CONNECT_TIMEOUT_MS", "5000", duration("ms", { min: 1 })),
    connectionTTL: defaulted("POSTGRES_CONNECTION_TTL_MS", "900000", duration("ms", { min: 0 })),
    idleTimeout: defaulted("POSTGRES_IDLE_TIMEOUT_MS", "30000", duration("ms", { min: 0 })),
    idleInTransactionTimeout: defaulted("POSTGRES_IDLE_IN_TXN_TIMEOUT_MS", "60000", duration("ms", { min: 0 })),
    lockTimeout: defaulted("POSTGRES_LOCK_TIMEOUT_MS", "10000", duration("ms", { min: 0 })),
    statementTimeout: defaulted("POSTGRES_STATEMENT_TIMEOUT_MS", "30000", duration("ms", { min: 0 })),
    transactionTimeout: defaulted("POSTGRES_TRANSACTION_TIMEOUT_MS", "120000", duration("ms", { min: 0 })),
    trigram: Config.all({
      similarity: defaulted("POSTGRES_TRGM_SIMILARITY_THRESHOLD", "0.3", number({ min: 0, max: 1 })),
      wordSimilarity: defaulted("POSTGRES_TRGM_WORD_SIMILARITY_THRESHOLD", "0.6", number({ min: 0, max: 1 })),
      strictWordSimilarity: defaulted("POSTGRES_TRGM_STRICT_WORD_SIMILARITY_THRESHOLD", "0.5", number({ min: 0, max: 1 }))
    })
  }),
  ai: Config.all({
    anthropic: requiredSecret("ANTHROPIC_API_KEY"),
    gemini: requiredSecret("GEMINI_API_KEY"),
    openAI: requiredSecret("OPENAI_API_KEY")
  })
}, { mode: "validate" }).pipe(Effect.mapError(together))

/** How to read what stands in a variable. The problem on the left never repeats it. */
type Parser<A> = (value: string) => Either.Either<A, string>

/** The bounds of a number, inclusive, in its unit on the wire. */
interface Bounds {
  readonly min?: number
  readonly max?: number
  readonly unsigned?: true
}

/** A variable that must be given. */
function required<A>(name: string, parse: Parser<A>, value = variable(name)): Config.Config<A> {
  return Config.mapOrFail(value, (given) =>
    given === "" ? Either.left(ConfigError.MissingData([name], "is required")) : parsed(name, parse, given))
}

/** A variable that may be left out. */
function optional<A>(name: string, parse: Parser<A>, value = variable(name)): Config.Config<Option.Option<A>> {
  return Config.mapOrFail(value, (given) =>
    given === "" ? Either.right(Option.none()) : Either.map(parsed(name, parse, given), Option.some))
}

/** A variable that has a default, written as it would be on the wire. */
function defaulted<A>(name: string, otherwise: string, parse: Parser<A>): Config.Config<A> {
  return Config.mapOrFail(variable(name), (given) => parsed(name, parse, given === "" ? otherwise : given))
}

/** A secret that must be given, in NAME or in the file that NAME_FILE names. */
function requiredSecret(name: string): Config.Config<Redacted.Redacted> {
  return required(name, redacted, variableOrFile(name))
}

/** A secret that may be left out. */
function optionalSecret(name: string): Config.Config<Option.Option<Redacted.Redacted>> {
  return optional(name, redacted, variableOrFile(name))
}

/** The variant that a variable names; the others are not read. */
function choice<A>(
  name: string,
  otherwise: string | undefined,
  variants: { readonly [word: string]: Effect.Effect<A, ConfigError.ConfigError> }
): Effect.Effect<A, ConfigError.ConfigError> {
  return Effect.flatMap(variable(name), (given) => {
    const word = given === "" ? otherwise : given
    const words = Object.keys(variants).join(", ")
    if (word === undefined) {
      return Effect.fail(ConfigError.MissingData([name], `is required: one of ${words}`))
    }
    const variant = Object.hasOwn(variants, word) ? variants[word] : undefined
    return variant ?? Effect.fail(ConfigError.InvalidData([name], `must be one of ${words}`))
  })
}

/** The one variant of which a variable is given. */
function exactlyOne<A>(
  variants: ReadonlyArray<{
    readonly given: readonly [string, ...ReadonlyArray<string>]
    readonly read: Effect.Effect<A, ConfigError.ConfigError>
  }>
): Effect.Effect<A, ConfigError.ConfigError> {
  const isGiven = (names: ReadonlyArray<string>) =>
    Effect.map(Config.all(names.map(variable)), (values) => values.some((value) => value !== ""))
  return Effect.flatMap(Effect.filter(variants, ({ given }) => isGiven(given)), ([one, ...others]) => {
    const names = variants.map(({ given }) => given[0])
    if (one === undefined) {
      return Effect.fail(ConfigError.MissingData(names.slice(0, 1), `needs exactly one of ${names.join(", ")}, 0 given`))
    }
    const problem = `needs exactly one of ${names.join(", ")}, ${others.length + 1} given`
    return others.length === 0 ? one.read : Effect.fail(ConfigError.InvalidData([one.given[0]], problem))
  })
}

/** Everything that is wrong with a group. */
function together(errors: {
  readonly [field: string]: Option.Option<ConfigError.ConfigError>
}): ConfigError.ConfigError {
  return Object.values(errors).flatMap(Option.toArray).reduce((left, right) => ConfigError.And(left, right))
}

function parsed<A>(name: string, parse: Parser<A>, given: string): Either.Either<A, ConfigError.ConfigError> {
  return Either.mapLeft(parse(given), (problem) => ConfigError.InvalidData([name], problem))
}

/** What a variable holds: nothing when it is unset. */
function variable(name: string): Config.Config<string> {
  return Config.withDefault(Config.string(name), "")
}

/** What a variable or the file that NAME_FILE names holds. */
function variableOrFile(name: string): Config.Config<string> {
  return Config.mapOrFail(Config.all([variable(name), variable(`${name}_FILE`)]), ([value, file]) => {
    if (file === "") {
      return Either.right(value)
    }
    if (value !== "") {
      return Either.left(ConfigError.InvalidData([name], `is given twice: drop it or ${name}_FILE`))
    }
    return Either.mapLeft(content(file), (problem) =>
      ConfigError.InvalidData([name], `reading the file that ${name}_FILE names: ${problem}`))
  })
}

/** What a file holds, less one newline at its end. */
function content(path: string): Either.Either<string, string> {
  try {
    const file = statSync(path)
    if (!file.isFile()) { // a pipe would block, a device never end
      return Either.left("not a regular file")
    }
    if (file.size > 1024 * 1024) {
      return Either.left("larger than 1 MiB")
    }
    return Either.right(readFileSync(path, "utf8").replace(/\r?\n?$/, ""))
  } catch (error) { // its code alone: the path may be a secret put in the wrong variable
    return Either.left(error instanceof Error && "code" in error ? String(error.code) : "unreadable")
  }
}

function text(value: string): Either.Either<string, string> {
  return Either.right(value)
}

function redacted(value: string): Either.Either<Redacted.Redacted, string> {
  return Either.right(Redacted.make(value))
}

function oneOf<const Words extends ReadonlyArray<string>>(...words: Words): Parser<Words[number]> {
  return (value) => {
    const found = words.find((word) => word === value)
    return found === undefined ? Either.left(`must be one of ${words.join(", ")}`) : Either.right(found)
  }
}

function boolean(value: string): Either.Either<boolean, string> {
  if (["1", "t", "T", "TRUE", "true", "True"].includes(value)) {
    return Either.right(true)
  }
  if (["0", "f", "F", "FALSE", "false", "False"].includes(value)) {
    return Either.right(false)
  }
  return Either.left("must be true or false")
}

function integer(bounds: Bounds = {}): Parser<number> {
  return (value) => {
    const read = Number(value) + 0 // -0 is 0
    return (bounds.unsigned ? /^[0-9]+$/ : /^[+-]?[0-9]+$/).test(value) && Number.isSafeInteger(read)
      ? within(read, bounds)
      : Either.left("must be an integer in range")
  }
}

function number(bounds: Bounds = {}): Parser<number> {
  return (value) => {
    const read = Number(value) + 0
    return /^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$/.test(value) && Number.isFinite(read)
      ? within(read, bounds)
      : Either.left("must be a number")
  }
}

/** A whole number of a unit. */
function duration(unit: "ms" | "s" | "min" | "h" | "days", bounds: Bounds = {}): Parser<Duration.Duration> {
  const millis = { ms: 1, s: 1000, min: 60_000, h: 3_600_000, days: 86_400_000 }[unit]
  const min = Math.max(0, bounds.min ?? 0)
  const longest = Math.trunc(9_223_372_036_854 / millis) // of Go
  return (value) =>
    integer()(value).pipe(
      Either.filterOrLeft((read) => Math.abs(read) <= longest, () => "is too long a time"),
      Either.flatMap((read) => within(read, { ...bounds, min }, ` ${unit}`)),
      Either.map((read) => Duration.millis(read * millis))
    )
}

function within(read: number, { max = Infinity, min = -Infinity }: Bounds, unit = ""): Either.Either<number, string> {
  if (read < min) {
    return Either.left(`must be at least ${min}${unit}`)
  }
  return read > max ? Either.left(`must be at most ${max}${unit}`) : Either.right(read)
}

/** Five fields: minute, hour, day of month, month and day of week. */
function cron(value: string): Either.Either<string, string> {
  const months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
  const days = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
  const fields: ReadonlyArray<readonly [low: number, high: number, names: ReadonlyArray<string>]> = [
    [0, 59, []],
    [0, 23, []],
    [1, 31, []],
    [1, 12, months],
    [0, 6, days]
  ]
  const valid = (range: string, [low, high, names]: (typeof fields)[number]) => {
    const parts = /^(?:[*?]|([0-9]+|[A-Z]+)(?:-([0-9]+|[A-Z]+))?)(?:\/([0-9]+))?$/i.exec(range)
    const at = (word: string) => /[0-9]/.test(word) ? Number(word) : low + names.indexOf(word.toUpperCase())
    const start = at(parts?.[1] ?? String(low))
    const end = at(parts?.[2] ?? String(start))
    return parts !== null && low <= start && start <= end && end <= high && Number(parts[3] ?? 1) > 0
  }
  const given = value.split(" ").map((field) => field.split(","))
  return given.length === fields.length && fields.every((field, i) => given[i]?.every((range) => valid(range, field)))
    ? Either.right(value)
    : Either.left("must be a schedule of five fields: minute hour day month weekday")
}
