package portal

import "github.com/tenantry/tenantry/config"

// Telemetry is traces, metrics and logs over OTLP, and what they say of their
// origin.
type Telemetry struct {
	// Endpoint is the collector's URL.
	Endpoint config.Derived[string] `env:"OTEL_EXPORTER_OTLP_ENDPOINT" fact:"telemetry.endpoint"`
	// LogsEndpoint, MetricsEndpoint and TracesEndpoint send one signal elsewhere.
	LogsEndpoint    string `env:"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"`
	MetricsEndpoint string `env:"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"`
	TracesEndpoint  string `env:"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"`
	// Headers go with every export, key=value between commas. They are no
	// secret: put no token here.
	Headers string `env:"OTEL_EXPORTER_OTLP_HEADERS" envDefault:""`
	// Protocol is the encoding of an export.
	Protocol OTLPProtocol `env:"OTEL_EXPORTER_OTLP_PROTOCOL" envDefault:"http/protobuf" oneof:"http/protobuf|http/json"`

	LogsExporter    config.Derived[Exporter] `env:"OTEL_LOGS_EXPORTER" envDefault:"otlp" fact:"telemetry.enabled,true=otlp,false=none"`
	MetricsExporter config.Derived[Exporter] `env:"OTEL_METRICS_EXPORTER" envDefault:"otlp" oneof:"none|otlp" fact:"telemetry.enabled,true=otlp,false=none"`
	TracesExporter  config.Derived[Exporter] `env:"OTEL_TRACES_EXPORTER" envDefault:"otlp" oneof:"none|otlp" fact:"telemetry.enabled,true=otlp,false=none"`

	ServiceName    config.Derived[string] `env:"OTEL_SERVICE_NAME" envDefault:"api" fact:"app.component"`
	ServiceVersion config.Derived[string] `env:"OTEL_SERVICE_VERSION" envDefault:"0.0.0" fact:"app.version"`
	Container      config.Derived[string] `env:"K8S_CONTAINER_NAME" envDefault:"" fact:"pod.container"`
	Deployment     config.Derived[string] `env:"K8S_DEPLOYMENT_NAME" envDefault:"" fact:"pod.deployment"`
	Node           config.Derived[string] `env:"K8S_NODE_NAME" envDefault:"" fact:"pod.node"`
	Pod            config.Derived[string] `env:"K8S_POD_NAME" envDefault:"" fact:"pod.name"`
}

// Exporter is where a signal goes.
type Exporter string

// The exporters.
const (
	ExportNone Exporter = "none"
	ExportOTLP Exporter = "otlp"
)

// OTLPProtocol is the encoding of an export.
type OTLPProtocol string

// The encodings, both over HTTP.
const (
	OTLPProtobuf OTLPProtocol = "http/protobuf"
	OTLPJSON     OTLPProtocol = "http/json"
)
