package render

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Database is where the tenant's rows live. The application finds it by the fact database.url.
//
//sumtype:decl
type Database interface {
	validateDatabase(*checker, *Fleet)
	lowerDatabase(scope) part
	// backup is where copies go; its store is nil where somebody else makes them.
	backup() Backup
	// endpoint is the name that no two tenants may share; empty where it is in the tenant's namespace.
	endpoint() string
}

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

// Postgres is one PostgreSQL server in a StatefulSet, for clusters without any operator. It is reached from
// the tenant's namespace only, without TLS, and a nightly dump is its backup.
type Postgres struct {
	Image      string // like the official image, with the extensions that the application needs
	Storage    Quantity
	Resources  Resources // Default 500m CPU, 1Gi memory
	Backup     Backup
	Extensions []string // created when the database is
	Preload    []string // shared_preload_libraries
	Parameters map[string]string
	Password   SecretSource // Default Generated
}

// ExternalPostgres is a server that somebody else runs. TLS is always on.
type ExternalPostgres struct {
	Host     string
	Port     int32 // Default 5432
	Database string
	User     string
	Password SecretSource // as DATABASE_PASSWORD
	CA       SecretSource // PEM of its authority, as DATABASE_CA. Default: the public authorities
	CIDRs    []string     // the addresses behind Host; empty means any public address on Port
}

// Backup is where, when and how long copies of a database are kept.
type Backup struct {
	To       ObjectStore
	Schedule Cron          // Default "0 2 * * *"
	Keep     time.Duration // whole days. Default 7 days
}

var (
	_ Database = CloudNativePG{}
	_ Database = Postgres{}
	_ Database = ExternalPostgres{}
)

const (
	databaseName  = "database"
	databaseApp   = "postgresql"
	databaseOwner = "app" // role and database of the application
)

func (b Backup) validate(c *checker, f *Fleet) {
	if at := c.at("to"); !at.missing(b.To, "S3 or GarageBucket; NoStore if the data may be lost") {
		b.To.validateStore(at, f)
	}
	if b.Schedule != "" {
		c.at("schedule").cron(b.Schedule)
	}
	if b.Keep < 0 || b.Keep%day != 0 {
		c.at("keep").invalid(b.Keep.String(), "must be whole days, such as 7 * 24 * time.Hour")
	}
}

func (b Backup) schedule() Cron { return cmp.Or(b.Schedule, "0 2 * * *") }

func (b Backup) days() int { return int(cmp.Or(b.Keep, 7*day) / day) }

func validateParameters(c *checker, parameters map[string]string, extensions, preload []string) {
	for name := range parameters {
		c.at("parameters").identifier(strings.ReplaceAll(name, ".", "_"))
	}
	for i, name := range extensions {
		c.at("extensions").item(i).identifier(strings.ReplaceAll(name, "-", "_"))
	}
	for i, name := range preload {
		c.at("preload").item(i).identifier(name)
	}
}

// serverParameters adds what every tenant's server has: room for logical replication.
func serverParameters(own map[string]string) map[string]string {
	return with(map[string]string{"wal_level": "logical", "max_replication_slots": "10", "max_wal_senders": "10"}, own)
}

func (d CloudNativePG) validateDatabase(c *checker, f *Fleet) {
	if d.Instances != 1 && d.Instances != 3 {
		c.at("instances").invalid(d.Instances, "must be 1 or 3")
	}
	c.at("image").image(d.Image)
	c.at("storage").quantity(d.Storage)
	c.at("walStorage").optional(d.WALStorage)
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
	var p part

	initdb := cnpgInitDB{Database: databaseOwner, Owner: databaseOwner, DataChecksums: true, Encoding: "UTF8"}
	credentials := databaseName + "-app" // the operator's own
	if _, own := d.Password.(GeneratedByOperator); d.Password != nil && !own {
		credentials = databaseName + "-owner"
		initdb.Secret = &ref{credentials}
		p.objects = append(p.objects, s.login(credentials, databaseOwner, "DATABASE_PASSWORD", d.Password)...)
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
			PriorityClassName:     s.tenant.Tier.priorityClass(),
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
		source := r.Password
		if source == nil {
			source = Generated{}
		}
		p.objects = append(p.objects, s.login(name, r.Name, "DATABASE_ROLE_"+strings.ToUpper(r.Name), source)...)
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

	service := databaseName + "-rw"
	clients := []networkingv1.NetworkPolicyPeer{{PodSelector: new(applicationPods())}}
	p.facts = map[string]fact{
		"database.url":        secretFact(credentials, "uri"),
		"database.tls":        text("true"),
		"database.ca":         secretFact(databaseName+"-ca", "ca.crt"),
		"database.servername": text(service),
	}
	ownURL := credentials != databaseName+"-app"
	if d.Pooler != nil {
		service = databaseName + "-pooler"
		ownURL = true
		pooled := map[string]string{"cnpg.io/poolerName": service}
		clients = append(clients, near(pooled))
		p.objects = append(p.objects, d.Pooler.lower(s, service))
		p.objects = append(p.objects, policy(s.named(service, "database", databaseApp), metav1.LabelSelector{MatchLabels: pooled},
			s.scraped(9127, from([]int32{5432}, networkingv1.NetworkPolicyPeer{PodSelector: new(applicationPods())})),
			[]networkingv1.NetworkPolicyEgressRule{s.fleet.apiServers(), to([]int32{5432}, near(pods))}))
		p.egress = append(p.egress, to([]int32{5432}, near(pooled)))
		// The pooler's certificate is the cluster's own.
		p.facts["database.servername"] = text(databaseName + "-rw")
	} else {
		p.egress = append(p.egress, to([]int32{5432}, near(pods)))
	}
	if ownURL {
		p.facts["database.url"] = fact{
			value: fmt.Sprintf("postgresql://%s:$(DATABASE_PASSWORD)@%s:5432/%s", databaseOwner, service, databaseOwner),
			needs: []corev1.EnvVar{secretEnv("DATABASE_PASSWORD", credentials, "password")},
		}
	}

	peers := near(pods)
	ingress := s.scraped(9187,
		from([]int32{5432}, clients...),
		from([]int32{5432, 8000}, s.fleet.Platform.operator().peer(), peers),
	)
	egress := append([]networkingv1.NetworkPolicyEgressRule{s.fleet.apiServers(), to([]int32{5432, 8000}, peers)}, store.egress...)
	p.objects = append(p.objects, policy(m, metav1.LabelSelector{MatchLabels: pods}, ingress, egress))
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

// login is a Secret with a user and a password, as CloudNativePG reads them.
func (s scope) login(name, user, variable string, source SecretSource) []Object {
	sec := s.secret(name, "database", databaseApp)
	sec.kind = corev1.SecretTypeBasicAuth
	sec.keys = []secretKey{{name: "username", template: user}, {name: "password", variable: variable}}
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
		Affinity:                  &affinity,
		TopologySpreadConstraints: constraints,
		PriorityClassName:         s.tenant.Tier.priorityClass(),
		Containers: []corev1.Container{{
			Name:      "pgbouncer",
			Resources: Resources{}.requirements(Resources{CPU: "100m", Memory: "128Mi"}),
		}},
	}
	s.nodes.place(&pod, false)
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

func (d Postgres) validateDatabase(c *checker, f *Fleet) {
	c.at("image").image(d.Image)
	c.at("storage").quantity(d.Storage)
	c.at("resources").resources(d.Resources)
	d.Backup.validate(c.at("backup"), f)
	validateParameters(c, d.Parameters, d.Extensions, d.Preload)
	c.at("password").source(d.Password)
}

func (d Postgres) backup() Backup { return d.Backup }

func (Postgres) endpoint() string { return "" }

// initScript runs once, when the volume is empty, as the server's superuser. The application's role owns
// its database and is nothing beyond that.
const initScript = `#!/bin/sh
set -eu
psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres <<'SQL'
\getenv password DATABASE_PASSWORD
CREATE ROLE app LOGIN PASSWORD :'password';
CREATE DATABASE app OWNER app;
REVOKE ALL ON DATABASE app FROM PUBLIC;
SQL
for extension in $EXTENSIONS; do
  psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=app --set=extension="$extension" <<'SQL'
CREATE EXTENSION IF NOT EXISTS :"extension" CASCADE;
SQL
done
`

func (d Postgres) lowerDatabase(s scope) part {
	m := s.named(databaseName, "database", databaseApp)
	pods := selector(s.unit, databaseApp)
	source := d.Password
	if source == nil {
		source = Generated{}
	}
	sec := s.secret(databaseName, "database", databaseApp)
	sec.keys = []secretKey{
		{name: "password", variable: "DATABASE_PASSWORD"},
		{name: "superuser-password", variable: "DATABASE_SUPERUSER_PASSWORD"},
		{name: "url", template: fmt.Sprintf("postgresql://%s:{{ .password | urlquery }}@%s:5432/%s?sslmode=disable", databaseOwner, databaseName, databaseOwner)},
	}
	secrets := source.lowerSecret(s, sec)
	script := &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: m,
		Data:       map[string]string{"init.sh": initScript},
	}

	var args []string
	parameters := serverParameters(d.Parameters)
	if len(d.Preload) > 0 {
		parameters["shared_preload_libraries"] = strings.Join(d.Preload, ",")
	}
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		args = append(args, "-c", name+"="+parameters[name])
	}
	run, runMount := scratch("run", "/var/run/postgresql", "16Mi")
	tmp, tmpMount := scratch("tmp", "/tmp", "256Mi")
	shm, shmMount := scratch("shm", "/dev/shm", "256Mi")
	shm.EmptyDir.Medium = corev1.StorageMediumMemory
	init, initMount := configVolume("init", databaseName, "/docker-entrypoint-initdb.d")
	init.ConfigMap.DefaultMode = new(int32(0o555)) // the image runs what is executable and sources what is not
	ready := func(period, failures int32) *corev1.Probe {
		return &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"pg_isready", "--host=127.0.0.1", "--username=" + databaseOwner, "--dbname=" + databaseOwner}}},
			PeriodSeconds: period, TimeoutSeconds: 5, FailureThreshold: failures,
		}
	}
	container := corev1.Container{
		Name:            databaseApp,
		Image:           d.Image,
		ImagePullPolicy: corev1.PullAlways,
		Args:            args,
		Env: []corev1.EnvVar{
			secretEnv("DATABASE_PASSWORD", databaseName, "password"),
			{Name: "EXTENSIONS", Value: strings.Join(d.Extensions, " ")},
			{Name: "PGDATA", Value: "/var/lib/postgresql/pgdata"},
			{Name: "POSTGRES_INITDB_ARGS", Value: "--data-checksums --encoding=UTF8"},
			secretEnv("POSTGRES_PASSWORD", databaseName, "superuser-password"),
			{Name: "POSTGRES_USER", Value: "postgres"},
		},
		Ports:           []corev1.ContainerPort{{Name: "postgresql", ContainerPort: 5432, Protocol: corev1.ProtocolTCP}},
		Resources:       d.Resources.requirements(Resources{CPU: "500m", Memory: "1Gi"}),
		SecurityContext: confined(),
		VolumeMounts:    []corev1.VolumeMount{{Name: "data", MountPath: "/var/lib/postgresql"}, initMount, runMount, shmMount, tmpMount},
		StartupProbe:    ready(5, 120), // a replay after a crash takes its time
		ReadinessProbe:  ready(10, 3),
		LivenessProbe: &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("postgresql")}},
			PeriodSeconds: 10, TimeoutSeconds: 5, FailureThreshold: 6,
		},
	}
	set := s.statefulSet(m, pods, d.Storage, container, checksum(slices.Concat(secrets, []Object{script})...), init, run, shm, tmp)
	set.Spec.Template.Spec.TerminationGracePeriodSeconds = new(int64(120)) // for a checkpoint

	p := part{
		objects: append(secrets, script, set, s.headless(m, pods, "postgresql", 5432)),
		facts: map[string]fact{
			"database.url": secretFact(databaseName, "url"),
			"database.tls": text("false"),
		},
		egress: []networkingv1.NetworkPolicyEgressRule{to([]int32{5432}, near(pods))},
	}
	clients := []networkingv1.NetworkPolicyPeer{{PodSelector: new(applicationPods())}}
	store := d.Backup.To.lowerBucket(s, backupName)
	p.objects = append(p.objects, store.objects...)
	if store.name != "" {
		dump := selector(s.unit, dumpName)
		clients = append(clients, near(dump))
		p.objects = append(p.objects, d.dump(s, store), policy(s.named(dumpName, "backup", dumpName), metav1.LabelSelector{MatchLabels: dump}, nil,
			append(p.egress, store.egress...)))
	}
	p.objects = append(p.objects, policy(m, metav1.LabelSelector{MatchLabels: pods}, []networkingv1.NetworkPolicyIngressRule{from([]int32{5432}, clients...)}, nil))
	return p
}

// statefulSet is one server with one volume, which outlives both.
func (s scope) statefulSet(m metav1.ObjectMeta, pods map[string]string, storage Quantity, container corev1.Container, sum map[string]string, volumes ...corev1.Volume) *appsv1.StatefulSet {
	affinity, _ := spread(pods)
	spec := corev1.PodSpec{
		ServiceAccountName:           "default",
		AutomountServiceAccountToken: new(false),
		EnableServiceLinks:           new(false),
		PriorityClassName:            s.tenant.Tier.priorityClass(),
		SecurityContext:              confinedPod(uid),
		Affinity:                     &affinity,
		Containers:                   []corev1.Container{container},
		Volumes:                      volumes,
	}
	s.nodes.place(&spec, false)
	return &appsv1.StatefulSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"},
		ObjectMeta: *m.DeepCopy(),
		Spec: appsv1.StatefulSetSpec{
			Replicas:             new(int32(1)),
			ServiceName:          m.Name,
			Selector:             &metav1.LabelSelector{MatchLabels: pods},
			RevisionHistoryLimit: new(int32(3)),
			UpdateStrategy:       appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType},
			PersistentVolumeClaimRetentionPolicy: &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenDeleted: appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
				WhenScaled:  appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
			},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: with(m.Labels, nil), Annotations: sum},
				Spec:       spec,
			},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{s.fleet.claim("data", pods, storage)},
		},
	}
}

func (f *Fleet) claim(name string, labels map[string]string, size Quantity) corev1.PersistentVolumeClaim {
	return corev1.PersistentVolumeClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			StorageClassName: f.storageClass(),
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(string(size))}},
		},
	}
}

// headless gives the one pod of a StatefulSet the name by which others find it.
func (meta) headless(m metav1.ObjectMeta, pods map[string]string, port string, number int32) Object {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: *m.DeepCopy(),
		Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone,
			Selector:  pods,
			Ports:     []corev1.ServicePort{{Name: port, Port: number, TargetPort: intstr.FromString(port), Protocol: corev1.ProtocolTCP}},
		},
	}
}

const dumpName = "database-backup"

// uploadScript puts a dump away under the time it was made at, and only then forgets old ones.
const uploadScript = `set -eu
rclone copyto --s3-no-check-bucket /dump/app.dump "store:$BUCKET/database/$(date -u +%Y%m%dT%H%M%SZ).dump"
rclone delete --min-age "$KEEP" "store:$BUCKET/database"
`

// dump is a nightly pg_dump, read back before it is uploaded.
func (d Postgres) dump(s scope, store bucket) Object {
	m := s.named(dumpName, "backup", dumpName)
	dump := corev1.VolumeMount{Name: "dump", MountPath: "/dump"}
	tmp, tmpMount := scratch("tmp", "/tmp", "64Mi")
	size := Resources{}.requirements(Resources{CPU: "100m", Memory: "256Mi"})
	container := func(name, image, script string, env ...corev1.EnvVar) corev1.Container {
		return corev1.Container{
			Name: name, Image: image, ImagePullPolicy: corev1.PullAlways, Command: []string{"sh", "-c", script}, Env: env,
			Resources: size, SecurityContext: confined(), VolumeMounts: []corev1.VolumeMount{dump, tmpMount},
		}
	}
	pod := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: m.Labels},
		Spec: corev1.PodSpec{
			RestartPolicy:                corev1.RestartPolicyOnFailure,
			ServiceAccountName:           "default",
			AutomountServiceAccountToken: new(false),
			EnableServiceLinks:           new(false),
			PriorityClassName:            s.tenant.Tier.priorityClass(),
			SecurityContext:              confinedPod(uid),
			InitContainers: []corev1.Container{container("dump", d.Image,
				"set -eu\npg_dump --format=custom --file=/dump/app.dump \"$DATABASE_URL\"\npg_restore --list /dump/app.dump >/dev/null\n",
				secretEnv("DATABASE_URL", databaseName, "url"))},
			Containers: []corev1.Container{container("upload", s.images.Rclone, uploadScript, store.rclone(fmt.Sprintf("%dd", d.Backup.days()))...)},
			Volumes: []corev1.Volume{
				{Name: "dump", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{
					VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: s.fleet.claim("", nil, d.Storage).Spec},
				}}},
				tmp,
			},
		},
	}
	s.nodes.place(&pod.Spec, false)
	return s.cronJob(m, d.Backup.schedule(), int64(6*time.Hour/time.Second), pod)
}

func (d ExternalPostgres) validateDatabase(c *checker, _ *Fleet) {
	c.at("host").address(d.Host)
	if d.Port != 0 {
		c.at("port").port(d.Port)
	}
	c.at("database").identifier(d.Database)
	c.at("user").identifier(d.User)
	c.at("password").foreign(d.Password)
	c.at("ca").source(d.CA)
	c.at("cidrs").cidrs(d.CIDRs)
}

func (ExternalPostgres) backup() Backup { return Backup{} }

func (d ExternalPostgres) endpoint() string {
	return net.JoinHostPort(d.Host, strconv.Itoa(int(d.port()))) + "/" + d.Database
}

func (d ExternalPostgres) port() int32 { return cmp.Or(d.Port, 5432) }

func (d ExternalPostgres) lowerDatabase(s scope) part {
	sec := s.secret(databaseName, "database", databaseApp)
	sec.keys = []secretKey{
		{name: "password", variable: "DATABASE_PASSWORD"},
		{name: "url", template: fmt.Sprintf("postgresql://%s:{{ .password | urlquery }}@%s?sslmode=verify-full", d.User, d.endpoint())},
	}
	p := part{
		objects: d.Password.lowerSecret(s, sec),
		facts: map[string]fact{
			"database.url":        secretFact(databaseName, "url"),
			"database.tls":        text("true"),
			"database.servername": text(d.Host),
		},
		egress: []networkingv1.NetworkPolicyEgressRule{addresses(d.CIDRs, d.port())},
	}
	if d.CA != nil {
		ca := s.secret(databaseName+"-ca", "database", databaseApp)
		ca.keys = []secretKey{{name: "ca.crt", variable: "DATABASE_CA"}}
		p.objects = append(p.objects, d.CA.lowerSecret(s, ca)...)
		p.facts["database.ca"] = secretFact(databaseName+"-ca", "ca.crt")
	}
	return p
}
