package render

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/robfig/cron/v3"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// A checker collects the mistakes found below one path.
type checker struct {
	path *field.Path
	errs *field.ErrorList
}

func (c *checker) at(name string) *checker { return &checker{c.path.Child(name), c.errs} }

func (c *checker) item(i int) *checker { return &checker{c.path.Index(i), c.errs} }

func (c *checker) invalid(value any, remedy string) {
	*c.errs = append(*c.errs, field.Invalid(c.path, value, remedy))
}

func (c *checker) required(remedy string) {
	*c.errs = append(*c.errs, field.Required(c.path, remedy))
}

func (c *checker) forbidden(remedy string) {
	*c.errs = append(*c.errs, field.Forbidden(c.path, remedy))
}

func (c *checker) duplicate(value any) {
	*c.errs = append(*c.errs, field.Duplicate(c.path, value))
}

// given says that a choice was made: by a variant itself, not by a pointer to one.
func given(choice any) bool {
	v := reflect.ValueOf(choice)
	return v.IsValid() && v.Kind() != reflect.Pointer
}

// missing reports a choice that was not made, and one that was made by a pointer: a variant is a value.
func (c *checker) missing(choice any, remedy string) bool {
	if given(choice) {
		return false
	}
	if v := reflect.ValueOf(choice); v.IsValid() && !v.IsNil() {
		c.forbidden("give the " + v.Type().Elem().Name() + " itself, not a pointer to it")
	} else {
		c.required(remedy)
	}
	return true
}

// source checks where a Secret comes from; nil means a default that is always right.
func (c *checker) source(s SecretSource) {
	if s != nil && !c.missing(s, "") {
		s.validateSecrets(c)
	}
}

// foreign checks where the password of somebody else's server comes from.
func (c *checker) foreign(s SecretSource) {
	if c.missing(s, "FromEnvironment or ExternalSecrets: somebody else made the password, so it has to be referred to") {
		return
	}
	if _, made := s.(Generated); made {
		c.forbidden("a generated password would not open somebody else's server: use FromEnvironment or ExternalSecrets")
		return
	}
	s.validateSecrets(c)
}

func (c *checker) label(s string) {
	if s == "" {
		c.required("a name of lower-case letters, digits and hyphens")
		return
	}
	for _, msg := range validation.IsDNS1035Label(s) {
		c.invalid(s, msg)
	}
}

func (c *checker) host(s string) {
	if s == "" {
		c.required("a host name such as api.example.com")
		return
	}
	// The value is not shown: a URL with a password in it may have been put here.
	for _, msg := range validation.IsDNS1123Subdomain(s) {
		*c.errs = append(*c.errs, &field.Error{Type: field.ErrorTypeInvalid, Field: c.path.String(), BadValue: field.OmitValueType{}, Detail: "a host name alone, without scheme, user or port: " + msg})
	}
}

// address is a host name or an IP address.
func (c *checker) address(s string) {
	if _, err := netip.ParseAddr(s); err != nil {
		c.host(s)
	}
}

func (c *checker) url(s string) {
	u, err := url.Parse(s)
	switch {
	case s == "":
		c.required("a URL such as https://s3.example.com")
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		*c.errs = append(*c.errs, &field.Error{Type: field.ErrorTypeInvalid, Field: c.path.String(), BadValue: field.OmitValueType{}, Detail: "must be http:// or https://, a host and a path, without user, query or fragment"})
	}
}

// cores is an amount of CPU.
var cores = regexp.MustCompile(`^([0-9]+|[0-9]*\.[0-9]+)m?$`)

// cpu checks an amount of CPU; empty is the component's default.
func (c *checker) cpu(q Quantity) {
	if q != "" && (!cores.MatchString(string(q)) || q.Less("1m")) {
		c.invalid(string(q), "must be a number of CPUs, or of thousandths with the suffix m: at least 1m, such as 250m")
	}
}

// A least is the smallest amount of bytes that can be meant, and why.
type least struct {
	amount Quantity
	why    string
}

var (
	leastMemory   = least{"12Mi", "CRI-O starts no container with less"}
	leastDisk     = least{"1Mi", "no file system fits into less"}
	leastDatabase = least{"128Mi", "an empty PostgreSQL is 40 MB, and keeps 80 MB of its log"}
	leastBody     = least{"1Ki", "hardly any request is smaller"}
)

func (c *checker) bytes(q Quantity, least least) {
	if q == "" {
		c.required("a quantity such as 50Gi")
		return
	}
	switch _, err := resource.ParseQuantity(string(q)); {
	case err != nil, strings.ContainsAny(string(q), "num"): // parts of a byte
		c.invalid(string(q), "must be a number of bytes with one of the suffixes k, M, G, T, Ki, Mi, Gi, Ti, such as 50Gi")
	case q.Less(least.amount):
		c.invalid(string(q), "must be at least "+string(least.amount)+": "+least.why)
	}
}

func (c *checker) optional(q Quantity, least least) {
	if q != "" {
		c.bytes(q, least)
	}
}

func (c *checker) resources(r Resources) {
	c.at("cpu").cpu(r.CPU)
	c.at("cpuLimit").cpu(r.CPULimit)
	c.at("memory").optional(r.Memory, leastMemory)
	c.at("ephemeral").optional(r.Ephemeral, leastDisk)
	if r.CPULimit.Less(r.CPU) {
		c.at("cpuLimit").invalid(string(r.CPULimit), "must be at least cpu, "+string(r.CPU))
	}
}

func (c *checker) port(p int32) {
	for _, msg := range validation.IsValidPortNum(int(p)) {
		c.invalid(p, msg)
	}
}

func (c *checker) cron(s Cron) {
	if s == "" {
		c.required("a schedule such as 0 3 * * *")
		return
	}
	// The parser also takes descriptors and time zones, which Kubernetes refuses or CloudNativePG does.
	if _, err := cron.ParseStandard(string(s)); err != nil || len(strings.Fields(string(s))) != 5 || strings.ContainsAny(string(s), "=@") {
		c.invalid(string(s), "must be the five fields of a crontab: minute (0-59), hour (0-23), day (1-31), month (1-12), weekday (0-6)")
	}
}

func (c *checker) image(s string) {
	if s == "" {
		c.required("an image such as registry.example.com/api:v1.2.3")
		return
	}
	named, err := reference.ParseNormalizedNamed(s)
	switch tagged, isTagged := named.(reference.Tagged); {
	case err != nil:
		c.invalid(s, err.Error())
	case reference.IsNameOnly(named):
		c.invalid(s, "must carry a tag or a digest, so that the same bytes run everywhere: add :v1.2.3 or @sha256:…")
	case isTagged && tagged.Tag() == "latest":
		if _, pinned := named.(reference.Digested); !pinned {
			c.invalid(s, "the tag latest moves: name a version or add a digest")
		}
	}
}

func (c *checker) cidr(s string) {
	switch prefix, err := netip.ParsePrefix(s); {
	case err != nil:
		c.invalid(s, "must be an address range such as 203.0.113.7/32")
	case prefix.Masked() != prefix:
		c.invalid(s, "has bits beyond its prefix: write "+prefix.Masked().String())
	}
}

func (c *checker) cidrs(list []string) {
	for i, s := range list {
		c.item(i).cidr(s)
	}
}

func (c *checker) duration(d time.Duration) {
	if d < 0 || d%time.Second != 0 {
		c.invalid(d.String(), "must be whole seconds, not negative")
	}
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)

func (c *checker) bucket(s string) {
	if !bucketName.MatchString(s) {
		c.invalid(s, "must be 3 to 63 lower-case letters, digits and hyphens")
	}
}

// identifier is a PostgreSQL name that needs no quotes.
var identifier = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

func (c *checker) identifier(s string) {
	if !identifier.MatchString(s) {
		c.invalid(s, "must be a PostgreSQL identifier of lower-case letters, digits and underscores")
	}
}

func (c *checker) peer(p Peer) {
	for _, msg := range validation.IsDNS1123Label(p.Namespace) {
		c.at("namespace").invalid(p.Namespace, msg)
	}
	*c.errs = append(*c.errs, metav1validation.ValidateLabels(p.Labels, c.path.Child("labels"))...)
}

var minor = regexp.MustCompile(`^1\.[0-9]{2}$`)

// reserved names belong to the cluster or to units that are no tenants.
func reserved(name string) bool {
	switch name {
	case PlatformUnit, "cluster", "default":
		return true
	}
	return strings.HasPrefix(name, "kube-")
}

func fleetPath(f *Fleet) *field.Path { return field.NewPath("fleets").Key(f.Name) }

func tenantPath(fleet *field.Path, t *Tenant) *field.Path { return fleet.Child("tenants").Key(t.Name) }

func validateFleets(fleets []Fleet) field.ErrorList {
	var errs field.ErrorList
	names := map[string]bool{}
	claims := map[claim]string{}
	for i := range fleets {
		f := &fleets[i]
		c := &checker{fleetPath(f), &errs}
		c.at("name").label(f.Name)
		if names[f.Name] {
			c.at("name").duplicate(f.Name)
		}
		names[f.Name] = true
		f.validate(c)
		f.validateRollout(c)
		tenants := map[string]bool{}
		for j := range f.Tenants {
			t := &f.Tenants[j]
			tc := &checker{tenantPath(c.path, t), &errs}
			t.validate(tc, f)
			if tenants[t.Name] {
				tc.at("name").duplicate(t.Name)
				continue // every claim of a tenant that is listed twice would be reported again
			}
			tenants[t.Name] = true
			for _, held := range t.claims(f) {
				if owner, taken := claims[held.claim]; taken {
					*tc.errs = append(*tc.errs, &field.Error{
						Type: field.ErrorTypeDuplicate, Field: tc.path.Child(held.field).String(), BadValue: held.name,
						Detail: fmt.Sprintf("%s already has this %s", owner, held.kind),
					})
					continue
				}
				claims[held.claim] = tc.path.String()
			}
		}
	}
	slices.SortStableFunc(errs, func(a, b *field.Error) int { return cmp.Compare(a.Field, b.Field) })
	return errs
}

func (f *Fleet) validate(c *checker) {
	cluster := c.at("cluster")
	if !minor.MatchString(f.Cluster.Kubernetes) {
		cluster.at("kubernetes").invalid(f.Cluster.Kubernetes, "must be a minor version such as 1.36")
	}
	if len(f.Cluster.APIServers) == 0 {
		cluster.at("apiServers").required("the addresses of the API servers, such as 10.0.0.10/32")
	}
	cluster.at("apiServers").cidrs(f.Cluster.APIServers)
	if f.Cluster.APIServerPort != 0 {
		cluster.at("apiServerPort").port(f.Cluster.APIServerPort)
	}
	if f.Cluster.Registry == "" {
		cluster.at("registry").required("the registry that the cluster pulls from, such as registry.example.com")
	} else {
		cluster.at("registry").image(f.Cluster.Registry + "/image:tag")
	}
	for i, place := range f.Cluster.Registries {
		cluster.at("registries").item(i).image(place + "/image:tag")
	}
	if f.Cluster.Domain != "" {
		cluster.at("domain").host(f.Cluster.Domain)
	}
	if f.Cluster.StorageClass != "" {
		cluster.at("storageClass").host(f.Cluster.StorageClass)
	}
	cluster.at("pools").pools(f.Cluster.Pools)
	f.Platform.validate(c.at("platform"))
	if d := f.Platform.Delivery; d != nil && !c.at("platform").at("delivery").missing(d, "") {
		d.validateDelivery(c.at("platform"), f, PlatformUnit)
	}
}

func (p *Platform) validate(c *checker) {
	for i, a := range p.Addresses {
		c.at("addresses").item(i).address(a)
	}
	if mixed(p.Addresses) {
		c.at("addresses").forbidden("a DNS record holds IP addresses, or one host name: not both, nor two host names")
	}
	if p.Gateway != nil {
		c.at("gateway").at("class").label(p.Gateway.class())
		c.at("gateway").at("namespace").label(p.Gateway.namespace())
	}
	if p.Issuer != nil && !c.at("issuer").missing(p.Issuer, "") {
		p.Issuer.validateIssuer(c.at("issuer"), p)
	}
	if p.Collector != nil {
		p.Collector.validate(c.at("collector"))
	}
	if p.Garage != nil {
		p.Garage.validate(c.at("garage"))
	}
	if p.Prometheus != nil {
		c.at("prometheus").peer(*p.Prometheus)
	}
	c.at("cloudNativePG").peer(p.operator())
	if p.SandboxHandler != "" {
		c.at("sandboxHandler").label(p.SandboxHandler)
	}
	images := p.Images.resolved("registry.example.com")
	for name, image := range map[string]string{"valkey": images.Valkey, "collector": images.Collector, "garage": images.Garage, "rclone": images.Rclone, "curl": images.Curl} {
		c.at("images").at(name).image(image)
	}
	if p.Source != nil && !c.at("source").missing(p.Source, "") {
		p.Source.validateSource(c.at("source"))
	}
	validateExtra(c.at("extra"), p.Extra, PlatformUnit, false)
}

func (t *Tenant) validate(c *checker, f *Fleet) {
	c.at("name").label(t.Name)
	if reserved(t.Name) || slices.Contains(f.Platform.namespaces(), t.Name) {
		c.at("name").invalid(t.Name, "is a namespace of the cluster or the platform: choose another name")
	}
	if !t.Tier.valid() {
		c.at("tier").required("Basic, Standard or Premium")
	}
	t.API.validate(c.at("api"), t)
	if at := c.at("database"); !at.missing(t.Database, "CloudNativePG, Postgres or ExternalPostgres") {
		t.Database.validateDatabase(at, f)
	}
	if at := c.at("cache"); !at.missing(t.Cache, "Valkey, ExternalRedis or NoCache") {
		t.Cache.validateCache(at, t)
	}
	if at := c.at("store"); !at.missing(t.Store, "S3, GarageBucket or NoStore") {
		t.Store.validateStore(at, f)
	}
	if at := c.at("edge"); !at.missing(t.Edge, "Gateway, Ingress or NoEdge") {
		t.Edge.validateEdge(at, f)
	}
	if at := c.at("dns"); !at.missing(t.DNS, "ExternalDNS or ManualDNS") {
		t.DNS.validateDNS(at, f, t)
	}
	if at := c.at("placement"); !at.missing(t.Placement, "SharedNodes, DedicatedNodes or Sandboxed") {
		t.Placement.validatePlacement(at)
	}
	if at := c.at("secrets"); !at.missing(t.Secrets, "FromEnvironment, ExternalSecrets or Generated") {
		t.Secrets.validateSecrets(at)
	}
	if t.Delivery != nil && !c.at("delivery").missing(t.Delivery, "") {
		t.Delivery.validateDelivery(c, f, t.Name)
	}
	// A workload's pods are told from all others by its name, and Services and policies go by that.
	names := map[string]bool{apiName: true, migrateName: true, databaseName: true, databaseApp: true, dumpName: true, cacheName: true, cacheApp: true}
	for i, w := range t.Workloads {
		at := c.at("workloads").item(i)
		if at.missing(w, "Worker or CronJob") {
			continue
		}
		at.at("name").label(w.workloadName())
		if names[w.workloadName()] {
			at.at("name").duplicate(w.workloadName())
		}
		names[w.workloadName()] = true
		w.validateWorkload(at, t)
	}
	for i, e := range t.Egress {
		at := c.at("egress").item(i)
		at.at("cidr").cidr(e.CIDR)
		at.at("port").port(e.Port)
	}
	for i, host := range t.Hosts {
		c.at("hosts").item(i).host(host)
	}
	validateExtra(c.at("extra"), t.Extra, t.Name, true)
	t.validateSettings(c.at("settings"))
}

// validateExtra checks objects that somebody else made. unit is the namespace they get; tenant says that
// nothing beyond it is theirs to make.
func validateExtra(c *checker, extra []Object, unit string, tenant bool) {
	for i, o := range extra {
		at := c.item(i)
		if v := reflect.ValueOf(o); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
			at.required("an object")
			continue
		}
		gvk := o.GetObjectKind().GroupVersionKind()
		if gvk.Version == "" || gvk.Kind == "" {
			at.at("kind").required("set TypeMeta: a typed object does not know its apiVersion and kind")
		}
		switch namespace := o.GetNamespace(); {
		case tenant && clusterScoped[gvk.Kind]:
			at.forbidden("a " + gvk.Kind + " has no namespace and so belongs to no tenant: put it into the platform's extra objects")
		case namespace != "" && namespace != unit:
			at.at("metadata").at("namespace").invalid(namespace, "must be left out, or "+unit)
		}
		text, err := json.Marshal(o)
		if err != nil {
			at.forbidden("cannot be encoded: " + err.Error())
			continue
		}
		var held struct {
			Data, StringData map[string]json.RawMessage
		}
		if gvk.Group == "" && gvk.Kind == "Secret" && json.Unmarshal(text, &held) == nil && len(held.Data)+len(held.StringData) > 0 {
			at.at("data").forbidden("a value would stand in the golden file for all to read: use a SecretSource, or an ExternalSecret")
		}
	}
}

// clusterScoped lists the built-in kinds that have no namespace and so belong to no tenant.
var clusterScoped = map[string]bool{
	"Namespace": true, "Node": true, "PersistentVolume": true, "StorageClass": true, "PriorityClass": true, "RuntimeClass": true,
	"ClusterRole": true, "ClusterRoleBinding": true, "CustomResourceDefinition": true, "ClusterIssuer": true, "GatewayClass": true,
	"IngressClass": true, "ValidatingAdmissionPolicy": true, "ValidatingAdmissionPolicyBinding": true, "MutatingWebhookConfiguration": true,
	"ValidatingWebhookConfiguration": true, "MutatingAdmissionPolicy": true, "MutatingAdmissionPolicyBinding": true, "APIService": true,
	"ClusterSecretStore": true, "ClusterExternalSecret": true, "CSIDriver": true, "VolumeAttributesClass": true,
}

// objectPath is where an object of a unit is spoken of: by kind and name.
func objectPath(path *field.Path, o Object) *field.Path {
	return path.Key(o.GetObjectKind().GroupVersionKind().Kind + "/" + o.GetName())
}

// validateObjects checks what the API server would refuse of any object, and that no two are the same.
func validateObjects(path *field.Path, objects []Object) field.ErrorList {
	var errs field.ErrorList
	type identity struct{ group, kind, namespace, name string }
	seen := map[identity]bool{}
	for _, o := range objects {
		at := objectPath(path, o)
		gvk := o.GetObjectKind().GroupVersionKind()
		id := identity{gvk.Group, gvk.Kind, o.GetNamespace(), o.GetName()}
		if seen[id] {
			errs = append(errs, field.Duplicate(at, o.GetNamespace()+"/"+o.GetName()))
		}
		seen[id] = true
		if o.GetName() == "" {
			errs = append(errs, field.Required(at.Child("metadata", "name"), "name the object; generateName gives every deploy another one"))
		} else {
			for _, msg := range validation.IsDNS1123Subdomain(o.GetName()) {
				errs = append(errs, field.Invalid(at.Child("metadata", "name"), o.GetName(), msg))
			}
			if len(gvk.Kind)+len(gvk.Group)+len(o.GetNamespace())+len(o.GetName()) > 200 {
				errs = append(errs, field.TooLong(at.Child("metadata", "name"), o.GetName(), 200))
			}
		}
		errs = append(errs, metav1validation.ValidateLabels(o.GetLabels(), at.Child("metadata", "labels"))...)
		errs = append(errs, apivalidation.ValidateAnnotations(o.GetAnnotations(), at.Child("metadata", "annotations"))...)
	}
	return errs
}

// portOf is the port of a URL that has been validated.
func portOf(raw string) int32 {
	if u, err := url.Parse(raw); err == nil {
		if port, err := strconv.ParseInt(u.Port(), 10, 32); err == nil {
			return int32(port)
		}
		if u.Scheme == "http" {
			return 80
		}
	}
	return 443
}
