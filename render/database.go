package render

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
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
