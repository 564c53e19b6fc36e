package render

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CloudNativePG is a PostgreSQL cluster run by the CloudNativePG operator, with TLS, and with point-in-time
// recovery by the Barman Cloud plugin.
type CloudNativePG struct {
	Instances  int32     // 1, or 3 for a copy on each of three nodes and no committed row lost with one
	Image      string    // of PostgreSQL, with the extensions that the application needs
	Storage    Quantity  // of each instance
	WALStorage Quantity  // on a volume of its own. Default: with the data
	Resources  Resources // Default 500m CPU, 2Gi memory
	Backup     Backup
	// Extensions are created by the operator, so that the owner need not be a superuser.
	Extensions []string
	Preload    []string          // shared_preload_libraries
	Parameters map[string]string // of postgresql.conf
	Roles      []DatabaseRole
	Pooler     *Pooler // nil: the application connects to the primary itself
	// Password of the owner. Default GeneratedByOperator.
	Password SecretSource
}

// A DatabaseRole is a login beside the owner, for people and reports. Its password is in the Secret
// database-role-<name>.
type DatabaseRole struct {
	Name        string
	In          []string     // roles that it is a member of, such as pg_read_all_data
	Connections int64        // at most. Default 5
	Password    SecretSource // Default Generated
}

// A Pooler is PgBouncer before the primary.
type Pooler struct {
	Instances  int32
	PerSession bool  // a server connection for each client's session, instead of each transaction
	Clients    int32 // at most, for each instance. Default 1000
}

func (d CloudNativePG) validateDatabase(c *checker, f *Fleet) {
	if d.Instances != 1 && d.Instances != 3 {
		c.at("instances").invalid(d.Instances, "must be 1 or 3")
	}
	c.at("image").image(d.Image)
	c.at("storage").bytes(d.Storage, leastDatabase)
	c.at("walStorage").optional(d.WALStorage, leastDatabase)
	c.at("resources").resources(d.Resources)
	d.Backup.validate(c.at("backup"), f)
	validateParameters(c, d.Parameters, d.Extensions, d.Preload)
	names := map[string]bool{databaseOwner: true, "postgres": true, "streaming_replica": true}
	for i, r := range d.Roles {
		at := c.at("roles").item(i)
		at.at("name").identifier(r.Name)
		if names[r.Name] {
			at.at("name").duplicate(r.Name)
		}
		names[r.Name] = true
		for j, in := range r.In {
			at.at("in").item(j).identifier(in)
		}
		if r.Connections < 0 {
			at.at("connections").invalid(r.Connections, "must not be negative")
		}
		at.at("password").source(r.Password)
	}
	if d.Pooler != nil {
		if d.Pooler.Instances < 1 {
			c.at("pooler").at("instances").invalid(d.Pooler.Instances, "must be at least 1")
		}
		if d.Pooler.Clients < 0 {
			c.at("pooler").at("clients").invalid(d.Pooler.Clients, "must not be negative")
		}
	}
	if _, own := d.Password.(GeneratedByOperator); !own {
		c.at("password").source(d.Password)
	}
}

func (d CloudNativePG) backup() Backup { return d.Backup }

func (CloudNativePG) endpoint() string { return "" }

var postgresDefaults = Resources{CPU: "500m", Memory: "2Gi"}

func (d CloudNativePG) lowerDatabase(s scope) part {
	m := s.named(databaseName, "database", databaseApp)
	pods := map[string]string{"cnpg.io/cluster": databaseName}
	// The operator labels the pooler's pods with the cluster too.
	instances := metav1.LabelSelector{
		MatchLabels:      pods,
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "cnpg.io/poolerName", Operator: metav1.LabelSelectorOpDoesNotExist}},
	}
	peers := networkingv1.NetworkPolicyPeer{PodSelector: &instances}
	var p part

	service := databaseName + "-rw"
	if d.Pooler != nil {
		service = databaseName + "-pooler"
	}
	initdb := cnpgInitDB{Database: databaseOwner, Owner: databaseOwner, DataChecksums: true, Encoding: "UTF8"}
	credentials := databaseName + "-app" // the operator's own
	if _, own := d.Password.(GeneratedByOperator); d.Password != nil && !own {
		credentials = databaseName + "-owner"
		initdb.Secret = &ref{credentials}
		p.objects = append(p.objects, s.login(credentials, databaseOwner, "DATABASE_PASSWORD", d.Password, secretKey{
			name: "uri", template: fmt.Sprintf("postgresql://%s:{{ .password | urlquery }}@%s:5432/%s", databaseOwner, service, databaseOwner),
		})...)
	}
	cluster := &cnpgCluster{
		TypeMeta:   metav1.TypeMeta{APIVersion: "postgresql.cnpg.io/v1", Kind: "Cluster"},
		ObjectMeta: m,
		Spec: cnpgClusterSpec{
			Instances:         d.Instances,
			ImageName:         d.Image,
			ImagePullPolicy:   corev1.PullAlways,
			InheritedMetadata: cnpgInherited{Labels: s.labels("database", databaseApp)},
			Bootstrap:         cnpgBootstrap{InitDB: initdb},
			PostgreSQL: cnpgPostgreSQL{
				Parameters:             serverParameters(d.Parameters),
				SharedPreloadLibraries: d.Preload,
			},
			Storage:   s.cnpgStorage(d.Storage),
			Resources: d.Resources.requirements(postgresDefaults),
			Affinity: cnpgAffinity{
				EnablePodAntiAffinity: true,
				PodAntiAffinityType:   "required",
				TopologyKey:           corev1.LabelHostname,
				NodeSelector:          s.nodes.selector,
				Tolerations:           s.nodes.tolerations,
			},
			PriorityClassName:     s.priority,
			PrimaryUpdateStrategy: "unsupervised",
			PrimaryUpdateMethod:   "switchover",
			// With one instance there is nothing to switch to, and a budget would only block the drain.
			EnablePDB:      d.Instances > 1,
			SeccompProfile: corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
	}
	if d.Instances > 1 {
		cluster.Spec.PostgreSQL.Synchronous = &cnpgSynchronous{Method: "any", Number: 1, DataDurability: "required", FailoverQuorum: true}
	} else {
		cluster.Spec.PrimaryUpdateMethod = "restart"
	}
	if d.WALStorage != "" {
		cluster.Spec.WALStorage = new(s.cnpgStorage(d.WALStorage))
	}
	if len(d.Roles) > 0 {
		cluster.Spec.Managed = &cnpgManaged{}
	}
	for _, r := range d.Roles {
		name := databaseName + "-role-" + strings.ReplaceAll(r.Name, "_", "-")
		p.objects = append(p.objects, s.login(name, r.Name, "DATABASE_ROLE_"+strings.ToUpper(r.Name), cmp.Or[SecretSource](r.Password, Generated{}))...)
		cluster.Spec.Managed.Roles = append(cluster.Spec.Managed.Roles, cnpgRole{
			Name: r.Name, Ensure: "present", Login: true, InRoles: r.In, ConnectionLimit: cmp.Or(r.Connections, 5), PasswordSecret: ref{name},
		})
	}
	p.objects = append(p.objects, cluster)
	if len(d.Extensions) > 0 {
		database := &cnpgDatabase{
			TypeMeta:   metav1.TypeMeta{APIVersion: "postgresql.cnpg.io/v1", Kind: "Database"},
			ObjectMeta: m,
			Spec:       cnpgDatabaseSpec{Cluster: ref{databaseName}, Name: databaseOwner, Owner: databaseOwner, ReclaimPolicy: "retain"},
		}
		for _, name := range d.Extensions {
			database.Spec.Extensions = append(database.Spec.Extensions, cnpgExtension{name, "present"})
		}
		p.objects = append(p.objects, database)
	}

	store := d.Backup.To.lowerBucket(s, backupName)
	p.objects = append(p.objects, store.objects...)
	if store.name != "" {
		cluster.Spec.Plugins = []cnpgPlugin{{Name: barmanPlugin, IsWALArchiver: true, Parameters: map[string]string{"barmanObjectName": databaseName}}}
		p.objects = append(p.objects, store.barman(m, d.Backup.days()), &cnpgScheduledBackup{
			TypeMeta:   metav1.TypeMeta{APIVersion: "postgresql.cnpg.io/v1", Kind: "ScheduledBackup"},
			ObjectMeta: m,
			Spec: cnpgScheduledBackupSpec{
				Cluster:              ref{databaseName},
				Schedule:             "0 " + string(d.Backup.schedule()), // its first field is seconds
				Immediate:            true,
				BackupOwnerReference: "self",
				Method:               "plugin",
				PluginConfiguration:  cnpgPlugin{Name: barmanPlugin},
			},
		})
	}

	clients := []networkingv1.NetworkPolicyPeer{{PodSelector: new(applicationPods())}}
	p.facts = map[string]fact{
		"database.url":        secretFact(credentials, "uri"),
		"database.tls":        text("true"),
		"database.ca":         secretFact(databaseName+"-ca", "ca.crt"),
		"database.servername": text(databaseName + "-rw"), // the pooler's certificate is the cluster's own
	}
	if d.Pooler != nil {
		if initdb.Secret == nil { // the operator's URL leads past the pooler; its passwords are letters and digits
			p.facts["database.url"] = fact{
				value: fmt.Sprintf("postgresql://%s:$(DATABASE_PASSWORD)@%s:5432/%s", databaseOwner, service, databaseOwner),
				needs: []corev1.EnvVar{secretEnv("DATABASE_PASSWORD", credentials, "password")},
			}
		}
		pooled := map[string]string{"cnpg.io/poolerName": service}
		clients = append(clients, near(pooled))
		p.objects = append(p.objects, d.Pooler.lower(s, service), budget(s.named(service, "database", databaseApp), pooled))
		p.objects = append(p.objects, policy(s.named(service, "database", databaseApp), metav1.LabelSelector{MatchLabels: pooled},
			s.scraped(9127, from([]int32{5432}, networkingv1.NetworkPolicyPeer{PodSelector: new(applicationPods())})),
			[]networkingv1.NetworkPolicyEgressRule{s.fleet.apiServers(), to([]int32{5432}, peers)}))
		p.egress = append(p.egress, to([]int32{5432}, near(pooled)))
	} else {
		p.egress = append(p.egress, to([]int32{5432}, peers))
	}
	ingress := s.scraped(9187,
		from([]int32{5432}, clients...),
		from([]int32{5432, 8000}, s.fleet.Platform.operator().peer(), peers),
	)
	egress := append([]networkingv1.NetworkPolicyEgressRule{s.fleet.apiServers(), to([]int32{5432, 8000}, peers)}, store.egress...)
	p.objects = append(p.objects, policy(m, instances, ingress, egress))
	if s.fleet.Platform.Prometheus != nil {
		p.objects = append(p.objects, s.podMonitor(databaseName, "database", databaseApp, pods, "metrics"))
	}
	return p
}

// scraped lets Prometheus in on a port, where there is one.
func (s scope) scraped(port int32, rules ...networkingv1.NetworkPolicyIngressRule) []networkingv1.NetworkPolicyIngressRule {
	if prometheus := s.fleet.Platform.Prometheus; prometheus != nil {
		rules = append(rules, from([]int32{port}, prometheus.peer()))
	}
	return rules
}

// login is a Secret with a user and a password, as CloudNativePG reads them, and what else is to be in it.
func (s scope) login(name, user, variable string, source SecretSource, more ...secretKey) []Object {
	sec := s.secret(name, "database", databaseApp)
	sec.kind = corev1.SecretTypeBasicAuth
	sec.keys = append([]secretKey{{name: "username", template: user}, {name: "password", variable: variable}}, more...)
	return source.lowerSecret(s, sec)
}

func (s scope) cnpgStorage(size Quantity) cnpgStorage {
	return cnpgStorage{Size: string(size), StorageClass: s.fleet.storageClass(), ResizeInUseVolumes: true}
}

func (f *Fleet) storageClass() *string {
	if f.Cluster.StorageClass == "" {
		return nil
	}
	return new(f.Cluster.StorageClass)
}

func (p Pooler) lower(s scope, name string) Object {
	mode := "transaction"
	if p.PerSession {
		mode = "session"
	}
	affinity, constraints := spread(map[string]string{"cnpg.io/poolerName": name})
	pod := corev1.PodSpec{
		Affinity:                  affinity,
		TopologySpreadConstraints: constraints,
		PriorityClassName:         s.priority,
		NodeSelector:              s.nodes.selector,
		Tolerations:               s.nodes.tolerations,
		Containers: []corev1.Container{{
			Name:      "pgbouncer",
			Resources: Resources{}.requirements(Resources{CPU: "100m", Memory: "128Mi"}),
		}},
	}
	return &cnpgPooler{
		TypeMeta:   metav1.TypeMeta{APIVersion: "postgresql.cnpg.io/v1", Kind: "Pooler"},
		ObjectMeta: s.named(name, "database", databaseApp),
		Spec: cnpgPoolerSpec{
			Cluster:   ref{databaseName},
			Type:      "rw",
			Instances: p.Instances,
			PgBouncer: cnpgPgBouncer{PoolMode: mode, Parameters: map[string]string{
				"max_client_conn":   strconv.Itoa(int(cmp.Or(p.Clients, 1000))),
				"default_pool_size": "20",
			}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: s.labels("database", databaseApp)},
				Spec:       pod,
			},
		},
	}
}
