package render

import (
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// alerts are what general rules for Kubernetes do not know: that a tenant's data is no longer copied, that
// a migration or a certificate is stuck. The expressions name objects as render names them, and the metrics
// are those of CloudNativePG 1.30, the Barman Cloud plugin 0.13, cert-manager 1.21 and kube-state-metrics 2.
func (s scope) alerts() Object {
	rule := func(name, severity, expression, wait, summary string) monitoringv1.Rule {
		return monitoringv1.Rule{
			Alert:       name,
			Expr:        intstr.FromString(expression),
			For:         new(monitoringv1.Duration(wait)),
			Labels:      map[string]string{"severity": severity, "fleet": s.fleet.Name},
			Annotations: map[string]string{"summary": summary},
		}
	}
	return &monitoringv1.PrometheusRule{
		TypeMeta:   metav1.TypeMeta{APIVersion: "monitoring.coreos.com/v1", Kind: "PrometheusRule"},
		ObjectMeta: s.named("tenants", "telemetry", "alerts"),
		Spec: monitoringv1.PrometheusRuleSpec{Groups: []monitoringv1.RuleGroup{{
			Name: "tenants",
			Rules: []monitoringv1.Rule{
				rule("TenantBackupMissing", "critical",
					`time() - max by (namespace) (barman_cloud_cloudnative_pg_io_last_available_backup_timestamp) > 129600`,
					"30m", "The database of {{ $labels.namespace }} has no base backup of the last 36 hours."),
				rule("TenantArchivingFails", "critical",
					`max by (namespace) (cnpg_pg_stat_archiver_last_failed_time - cnpg_pg_stat_archiver_last_archived_time) > 1`,
					"15m", "The database of {{ $labels.namespace }} cannot archive its write-ahead log: point-in-time recovery stops here, and the volume fills."),
				rule("TenantDumpMissing", "critical",
					`time() - max by (namespace) (kube_cronjob_status_last_successful_time{cronjob="`+dumpName+`"} or kube_cronjob_created{cronjob="`+dumpName+`"}) > 129600`,
					"30m", "The database of {{ $labels.namespace }} has no dump of the last 36 hours."),
				rule("TenantMigrationFailed", "critical",
					`max by (namespace, job_name) (kube_job_failed{condition="true", job_name=~"migrate-.+"}) > 0`,
					"1m", "{{ $labels.job_name }} of {{ $labels.namespace }} failed: its new version does not serve."),
				rule("TenantVolumeFills", "warning",
					`min by (namespace, persistentvolumeclaim) (kubelet_volume_stats_available_bytes{persistentvolumeclaim=~"(data|database)-.+"} / kubelet_volume_stats_capacity_bytes) < 0.15`,
					"15m", "{{ $labels.persistentvolumeclaim }} of {{ $labels.namespace }} is 85 % full: raise its Storage."),
				rule("TenantCertificateExpires", "warning",
					`min by (exported_namespace, name) (certmanager_certificate_expiration_timestamp_seconds{name=~"edge|`+cacheName+`"}) - time() < 604800`,
					"1h", "The certificate {{ $labels.name }} of {{ $labels.exported_namespace }} ends within 7 days and was not renewed."),
			},
		}}},
	}
}
