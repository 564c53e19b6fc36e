package render

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

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

func (d Postgres) validateDatabase(c *checker, f *Fleet) {
	c.at("image").image(d.Image)
	c.at("storage").bytes(d.Storage, leastDatabase)
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
	sec := s.secret(databaseName, "database", databaseApp)
	sec.keys = []secretKey{
		{name: "password", variable: "DATABASE_PASSWORD"},
		{name: "superuser-password", variable: "DATABASE_SUPERUSER_PASSWORD"},
		{name: "url", template: fmt.Sprintf("postgresql://%s:{{ .password | urlquery }}@%s:5432/%s?sslmode=disable", databaseOwner, databaseName, databaseOwner)},
	}
	secrets := cmp.Or[SecretSource](d.Password, Generated{}).lowerSecret(s, sec)
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
	c := container(databaseApp, d.Image)
	c.Args = args
	c.Env = []corev1.EnvVar{
		secretEnv("DATABASE_PASSWORD", databaseName, "password"),
		{Name: "EXTENSIONS", Value: strings.Join(d.Extensions, " ")},
		{Name: "PGDATA", Value: "/var/lib/postgresql/pgdata"},
		{Name: "POSTGRES_INITDB_ARGS", Value: "--data-checksums --encoding=UTF8"},
		secretEnv("POSTGRES_PASSWORD", databaseName, "superuser-password"),
		{Name: "POSTGRES_USER", Value: "postgres"},
	}
	c.Ports = []corev1.ContainerPort{{Name: "postgresql", ContainerPort: 5432, Protocol: corev1.ProtocolTCP}}
	c.Resources = d.Resources.requirements(Resources{CPU: "500m", Memory: "1Gi"})
	c.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/var/lib/postgresql"}, initMount, runMount, shmMount, tmpMount}
	c.StartupProbe = ready(5, 120) // a replay after a crash takes its time
	c.ReadinessProbe = ready(10, 3)
	c.LivenessProbe = &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("postgresql")}},
		PeriodSeconds: 10, TimeoutSeconds: 5, FailureThreshold: 6,
	}
	set := s.statefulSet(m, pods, d.Storage, c, checksum(slices.Concat(secrets, []Object{script})...), init, run, shm, tmp)
	set.Spec.Template.Spec.TerminationGracePeriodSeconds = new(int64(120)) // for a checkpoint

	p := part{
		objects: append(secrets, script, set, headless(m, pods, "postgresql", 5432)),
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

const dumpName = "database-backup"

// dumpScript reads a dump back before anybody relies on it.
const dumpScript = `set -eu
pg_dump --format=custom --file=/dump/app.dump "$DATABASE_URL"
pg_restore --list /dump/app.dump >/dev/null
`

// uploadScript puts a dump away under the time it was made at, and only then forgets old ones.
const uploadScript = `set -eu
rclone copyto --s3-no-check-bucket /dump/app.dump "store:$BUCKET/database/$(date -u +%Y%m%dT%H%M%SZ).dump"
rclone delete --min-age "$KEEP" "store:$BUCKET/database"
`

// dump is a nightly pg_dump that is uploaded to the backup store.
func (d Postgres) dump(s scope, store bucket) Object {
	m := s.named(dumpName, "backup", dumpName)
	dump := corev1.VolumeMount{Name: "dump", MountPath: "/dump"}
	tmp, tmpMount := scratch("tmp", "/tmp", "64Mi")
	step := func(name, image, script string, env ...corev1.EnvVar) corev1.Container {
		c := container(name, image)
		c.Command = []string{"sh", "-c", script}
		c.Env = env
		c.Resources = Resources{}.requirements(Resources{CPU: "100m", Memory: "256Mi"})
		c.VolumeMounts = []corev1.VolumeMount{dump, tmpMount}
		return c
	}
	volumes := []corev1.Volume{
		{Name: "dump", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{
			VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: s.fleet.claim("", nil, d.Storage).Spec},
		}}},
		tmp,
	}
	spec := s.pod(volumes, step("upload", s.images.Rclone, uploadScript, store.rclone(fmt.Sprintf("%dd", d.Backup.days()))...))
	spec.RestartPolicy = corev1.RestartPolicyOnFailure
	spec.InitContainers = []corev1.Container{step("dump", d.Image, dumpScript, secretEnv("DATABASE_URL", databaseName, "url"))}
	pod := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: m.Labels}, Spec: spec}
	return s.cronJob(m, d.Backup.schedule(), int64(6*time.Hour/time.Second), pod)
}
