package verify

import (
	"fmt"
	"slices"
	"testing"

	acmev1 "github.com/cert-manager/cert-manager/pkg/apis/acme/v1"
	certv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/google/go-cmp/cmp"
)

// TestPods checks the pods that come of an object, as far as policies can tell them apart: labels that have
// a value at all, and names of ports.
func TestPods(t *testing.T) {
	for _, test := range []struct {
		why, yaml string
		want      []string
	}{
		{"a pod has its own labels", `
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: acme, labels: {app: web}}
spec: {containers: [{name: c, ports: [{name: http, containerPort: 80}, {containerPort: 81}]}]}`, []string{
			"app=web [http TCP 80] alone",
		}},
		{"a sidecar has ports, an init container has none", `
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: acme}
spec: {containers: [{name: c}], initContainers: [{name: i, ports: [{name: early, containerPort: 1}]}, {name: s, restartPolicy: Always, ports: [{name: beside, containerPort: 2, protocol: UDP}]}]}`, []string{
			" [beside UDP 2] alone",
		}},
		{"a deployment", `
apiVersion: apps/v1
kind: Deployment
metadata: {name: d, namespace: acme, labels: {not: this}}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {hostNetwork: true}}}`, []string{
			"app=web,pod-template-hash=set-by-the-cluster [] host",
		}},
		{"a stateful set numbers its pods", `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: s, namespace: acme}
spec: {replicas: 2, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}}}`, []string{
			"app=web,apps.kubernetes.io/pod-index=0,controller-revision-hash=set-by-the-cluster,statefulset.kubernetes.io/pod-name=s-0 [] alone",
			"app=web,apps.kubernetes.io/pod-index=1,controller-revision-hash=set-by-the-cluster,statefulset.kubernetes.io/pod-name=s-1 [] alone",
		}},
		{"a job names itself", `
apiVersion: batch/v1
kind: Job
metadata: {name: j, namespace: acme}
spec: {template: {metadata: {labels: {app: job}}}}`, []string{
			"app=job,batch.kubernetes.io/controller-uid=set-by-the-cluster,batch.kubernetes.io/job-name=j,controller-uid=set-by-the-cluster,job-name=j []",
		}},
		{"a cron job's jobs are named later", `
apiVersion: batch/v1
kind: CronJob
metadata: {name: j, namespace: acme}
spec: {schedule: "", jobTemplate: {spec: {template: {metadata: {labels: {app: job}}}}}}`, []string{
			"app=job,batch.kubernetes.io/controller-uid=set-by-the-cluster,batch.kubernetes.io/job-name=set-by-the-cluster,controller-uid=set-by-the-cluster,job-name=set-by-the-cluster []",
		}},
		{"a database is its instances, in either role, and the jobs that make them", `
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: db, namespace: acme, labels: {not: this}}
spec: {instances: 2, inheritedMetadata: {labels: {app.kubernetes.io/instance: acme, own: label}}}`, append([]string{
			"app.kubernetes.io/component=database,app.kubernetes.io/instance=acme,app.kubernetes.io/managed-by=cloudnative-pg,app.kubernetes.io/name=postgresql,app.kubernetes.io/version=set-by-the-cluster,cnpg.io/cluster=db,cnpg.io/instanceName=db-1,cnpg.io/instanceRole=primary,cnpg.io/podRole=instance,own=label,role=primary [postgresql TCP 5432 metrics TCP 9187 status TCP 8000] alone",
			"app.kubernetes.io/component=database,app.kubernetes.io/instance=acme,app.kubernetes.io/managed-by=cloudnative-pg,app.kubernetes.io/name=postgresql,app.kubernetes.io/version=set-by-the-cluster,cnpg.io/cluster=db,cnpg.io/instanceName=db-1,cnpg.io/instanceRole=replica,cnpg.io/podRole=instance,own=label,role=replica [postgresql TCP 5432 metrics TCP 9187 status TCP 8000] alone",
			"app.kubernetes.io/component=database,app.kubernetes.io/instance=acme,app.kubernetes.io/managed-by=cloudnative-pg,app.kubernetes.io/name=postgresql,app.kubernetes.io/version=set-by-the-cluster,cnpg.io/cluster=db,cnpg.io/instanceName=db-2,cnpg.io/instanceRole=primary,cnpg.io/podRole=instance,own=label,role=primary [postgresql TCP 5432 metrics TCP 9187 status TCP 8000] alone",
			"app.kubernetes.io/component=database,app.kubernetes.io/instance=acme,app.kubernetes.io/managed-by=cloudnative-pg,app.kubernetes.io/name=postgresql,app.kubernetes.io/version=set-by-the-cluster,cnpg.io/cluster=db,cnpg.io/instanceName=db-2,cnpg.io/instanceRole=replica,cnpg.io/podRole=instance,own=label,role=replica [postgresql TCP 5432 metrics TCP 9187 status TCP 8000] alone",
		}, jobs("initdb", "import", "join", "pgbasebackup", "full-recovery", "snapshot-recovery")...)},
		{"a pooler is of its cluster, too", `
apiVersion: postgresql.cnpg.io/v1
kind: Pooler
metadata: {name: pool, namespace: acme}
spec: {cluster: {name: db}, template: {metadata: {labels: {app.kubernetes.io/name: overridden, own: label}}}}`, []string{
			"app.kubernetes.io/component=pooler,app.kubernetes.io/instance=db,app.kubernetes.io/managed-by=cloudnative-pg,app.kubernetes.io/name=postgresql,cnpg.io/cluster=db,cnpg.io/podRole=pooler,cnpg.io/poolerName=pool,own=label,pod-template-hash=set-by-the-cluster [pgbouncer TCP 5432 metrics TCP 9127]",
		}},
		{"a certificate is proved by a pod for each way", `
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: c, namespace: acme}
spec: {secretName: s, issuerRef: {name: i}}`, []string{
			"acme.cert-manager.io/http-domain=set-by-the-cluster,acme.cert-manager.io/http-token=set-by-the-cluster,acme.cert-manager.io/http01-solver=true [http TCP 8089]",
			"acme.cert-manager.io/http-domain=set-by-the-cluster,acme.cert-manager.io/http-token=set-by-the-cluster,acme.cert-manager.io/http01-solver=true,own=label [http TCP 8089]",
		}},
		{"a Secret makes no pod", "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: acme}}", nil},
	} {
		o, errs := parse("prod/acme/x.yaml", []byte(test.yaml))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		var got []string
		for _, p := range podsOf(o, func(*certv1.Certificate) *acmev1.ACMEIssuer {
			return &acmev1.ACMEIssuer{Solvers: []acmev1.ACMEChallengeSolver{
				{HTTP01: &acmev1.ACMEChallengeSolverHTTP01{GatewayHTTPRoute: &acmev1.ACMEChallengeSolverHTTP01GatewayHTTPRoute{}}},
				{DNS01: &acmev1.ACMEChallengeSolverDNS01{}},
				{HTTP01: &acmev1.ACMEChallengeSolverHTTP01{Ingress: &acmev1.ACMEChallengeSolverHTTP01Ingress{
					PodTemplate: &acmev1.ACMEChallengeSolverHTTP01IngressPodTemplate{
						ACMEChallengeSolverHTTP01IngressPodObjectMeta: acmev1.ACMEChallengeSolverHTTP01IngressPodObjectMeta{Labels: map[string]string{"own": "label"}},
					},
				}}},
			}}
		}) {
			text := p.labels.String() + " ["
			for i, listen := range p.ports {
				if i > 0 {
					text += " "
				}
				var one traffic
				one[listen.protocol] = ports{{listen.port, listen.port}}
				text += listen.name + " " + one.String()
			}
			text += "]"
			if p.host {
				text += " host"
			}
			if p.alone {
				text += " alone"
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", test.why, diff)
		}
	}
}

func jobs(roles ...string) []string {
	var list []string
	for _, role := range roles {
		list = append(list, "app.kubernetes.io/component=database,app.kubernetes.io/instance=db,app.kubernetes.io/managed-by=cloudnative-pg,app.kubernetes.io/name=postgresql,app.kubernetes.io/version=set-by-the-cluster,batch.kubernetes.io/controller-uid=set-by-the-cluster,batch.kubernetes.io/job-name=set-by-the-cluster,cnpg.io/cluster=db,cnpg.io/instanceName=db-1,cnpg.io/jobRole="+role+",controller-uid=set-by-the-cluster,job-name=set-by-the-cluster [postgresql TCP 5432 metrics TCP 9187 status TCP 8000] alone")
	}
	return list
}

// TestPodsAreToldApart names the pods of a unit's workloads, which are written as kind, name and the label that names
// an application.
func TestPodsAreToldApart(t *testing.T) {
	for _, test := range []struct {
		why       string
		workloads [][3]string
		want      []string
	}{
		{"a Job's own name changes with its content", [][3]string{{"Job", "migrate-80616d4b", "migrate"}}, []string{"migrate"}},
		{"what ends otherwise is no hash", [][3]string{{"Job", "migrate-80616d4", ""}, {"Job", "migrate-8061-6d4bx", ""}}, []string{"migrate-80616d4", "migrate-8061-6d4bx"}},
		{"the same Job before and after a change", [][3]string{{"Job", "migrate-80616d4b", "migrate"}, {"Job", "migrate-00000000", "migrate"}}, []string{"migrate", "migrate"}},
		{"a label that nothing else has says nothing new", [][3]string{{"Job", "migrate-80616d4b", "other"}}, []string{"migrate"}},
		{"Jobs that share a label", [][3]string{{"Job", "bucket-a-80616d4b", "provision"}, {"Job", "bucket-b-80616d4b", "provision"}}, []string{"provision", "provision"}},
		{"Jobs that share the name of another workload", [][3]string{{"StatefulSet", "garage", "garage"}, {"Job", "a-80616d4b", "garage"}, {"Job", "b-80616d4b", "garage"}}, []string{"garage", "a", "b"}},
		{"a Job with another workload's label", [][3]string{{"Deployment", "api", "api"}, {"Job", "migrate-80616d4b", "api"}}, []string{"api", "migrate"}},
		{"a Job with another Job's label", [][3]string{{"Job", "migrate-80616d4b", "migrate"}, {"Job", "other-80616d4b", "migrate"}}, []string{"migrate", "other"}},
		{"a Job that is called like another workload", [][3]string{{"Deployment", "api", "api"}, {"Job", "api-80616d4b", "api"}}, []string{"Deployment/api", "Job/api"}},
		{"two kinds of one name", [][3]string{{"Deployment", "api", "api"}, {"StatefulSet", "api", "web"}}, []string{"Deployment/api", "StatefulSet/api"}},
		{"a label of a workload's that is no Job", [][3]string{{"Deployment", "api", "web"}, {"Deployment", "api2", "web"}}, []string{"api", "api2"}},
	} {
		var pods []*pod
		for _, w := range test.workloads {
			version := "apps/v1"
			if w[0] == "Job" {
				version = "batch/v1"
			}
			o, errs := parse("prod/acme/x.yaml", fmt.Appendf(nil, `
apiVersion: %s
kind: %s
metadata: {name: %s, namespace: acme}
spec: {template: {metadata: {labels: {app.kubernetes.io/name: %q}}}}`, version, w[0], w[1], w[2]))
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			pods = append(pods, podsOf(o, nil)...)
		}
		tellApart(pods)
		var got []string
		for _, p := range pods {
			got = append(got, p.name)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", test.why, diff)
		}
	}
}

// TestPodsThatNobodyRendered leaves two tenants without policies that bind every pod: those that are rendered
// are bound all the same, and others, which whoever deploys them may add, reach each other.
func TestPodsThatNobodyRendered(t *testing.T) {
	f := examples(t)[0]
	for _, tenant := range []string{"acme", "globex"} {
		f = f.with(tenant, "networkpolicy-default-deny.yaml", nil).with(tenant, "networkpolicy-dns.yaml", nil)
	}
	found := networkFindings(f)
	if !slices.ContainsFunc(found, func(f Finding) bool {
		return f.Rule == "network/cross-tenant" && f.Message == "any pod of the tenant acme reaches any pod of the tenant globex: every port; no policy binds the pod's egress"
	}) {
		t.Errorf("%+v", found)
	}
}

func TestMade(t *testing.T) {
	fleet := examples(t)[0]
	var got []string
	for _, p := range fleet.Made() {
		if p.Spec.Containers == nil || p.Kind != "Pod" {
			t.Errorf("%+v", p)
		}
		kind := "solver"
		for _, label := range []string{"cnpg.io/poolerName", "cnpg.io/cluster"} {
			if p.Labels[label] != "" {
				kind = label + "=" + p.Labels[label]
				break
			}
		}
		got = append(got, p.Namespace+" "+kind)
	}
	want := []string{
		"acme cnpg.io/cluster=database", "acme solver", "globex solver", "globex solver", "hooli cnpg.io/cluster=database",
		"stark cnpg.io/cluster=database", "stark solver",
		"umbrella cnpg.io/cluster=database", "umbrella solver", "umbrella cnpg.io/poolerName=database-pooler",
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
