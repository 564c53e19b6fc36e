package render

import "time"

// A Tenant is one customer: a namespace and all that runs in it. Every field up to Settings must be set;
// a choice that is made by leaving it out is no choice.
type Tenant struct {
	// Name is the namespace, the golden directory and the last part of the stack's name: lower-case
	// letters, digits and hyphens, a letter first, at most 63. It can never change: a renamed tenant is
	// another tenant.
	Name      string
	Tier      Tier
	API       Service
	Database  Database
	Cache     Cache
	Store     ObjectStore
	Edge      Edge
	DNS       DNS
	Placement Placement
	// Secrets is where the secrets that the settings ask for come from.
	Secrets SecretSource
	// Settings of the application: a struct that package config can project.
	Settings any

	// Delivery is who brings the tenant into the cluster. Default Pulumi.
	Delivery Delivery
	// Workloads beside the API: workers and cron jobs.
	Workloads []Workload
	// Egress lists what the application's pods may reach beyond the database, the cache, the store, the
	// collector and public HTTPS.
	Egress []Egress
	// Hosts are those that extra objects claim, in routes, certificates or DNS records, beside the Edge's. The API
	// server lets the tenant claim no other.
	Hosts []string
	// Extra objects of any kind that has a namespace. They get the tenant's namespace and labels and the
	// same validation as all others. A Secret may hold no value.
	Extra []Object
}

// A Service is an HTTP server: the tenant's API.
type Service struct {
	Image string // with a tag other than latest, or a digest
	Port  int32
	Scale Scale
	// Live and Ready are the paths of the probes. Live also is the startup probe's.
	Live, Ready string
	// Command replaces the image's own; empty keeps it.
	Command []string
	// Migrate is run to its end, by the same image and with the same settings, before a new version
	// serves. Empty: the application has no migrations.
	Migrate []string
	// ReadsPods gives the pods a token that may get, list and watch the pods of the tenant's namespace.
	// No other workload has a token.
	ReadsPods bool
	// SecretFiles mounts secrets as files and sets NAME_FILE to the path of each, for an application that
	// reads them so (package config does). Otherwise a secret is the variable NAME.
	SecretFiles bool
	// Metrics is a port that Prometheus scrapes; 0 is none.
	Metrics   int32
	Resources Resources     // Default 250m CPU, 512Mi memory
	Stop      time.Duration // from SIGTERM to SIGKILL. Default 30 s
	UID       int64         // of the process, and its group. Default 10001
}

// A Workload is what runs beside the API, with the same settings and secrets.
//
//sumtype:decl
type Workload interface {
	workloadName() string
	validateWorkload(*checker, *Tenant)
	lowerWorkload(scope) []Object
}

// A Worker is a Deployment that serves nothing.
type Worker struct {
	Name      string
	Image     string // Default: the API's
	Command   []string
	Scale     Scale
	Resources Resources     // Default 250m CPU, 512Mi memory
	Stop      time.Duration // from SIGTERM to SIGKILL. Default 30 s
}

// A CronJob is a command that runs on a schedule, never twice at once.
type CronJob struct {
	Name      string
	Image     string // Default: the API's
	Command   []string
	Schedule  Cron
	Deadline  time.Duration // after which a run is ended. Default 1 h
	Resources Resources     // Default 250m CPU, 512Mi memory
}

var (
	_ Workload = Worker{}
	_ Workload = CronJob{}
)

// Egress is one address range and port outside the cluster.
type Egress struct {
	CIDR string
	Port int32
}
