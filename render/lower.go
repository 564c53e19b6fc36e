package render

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/tenantry/tenantry/config"
)

// A scope is what the lowering of one tenant, or of the platform, may look at.
type scope struct {
	meta
	fleet    *Fleet
	tenant   *Tenant
	images   Images
	nodes    nodes
	priority string            // class of every pod
	asks     config.Projection // of the tenant's settings
	app      application
}

// A part is what one choice adds to a tenant.
type part struct {
	objects []Object
	facts   map[string]fact
	egress  []networkingv1.NetworkPolicyEgressRule // what the application's pods reach because of it
	ingress []networkingv1.NetworkPolicyPeer       // who reaches the API because of it
}

// An application is what every workload of a tenant shares.
type application struct {
	from     []corev1.EnvFromSource
	checksum map[string]string
	// asked maps a variable to the fact that it takes; facts holds those that are the same for all workloads.
	asked map[string]config.Fact
	facts map[string]fact
	// files holds every secret as a file that is named after its variable, where the application reads
	// files; named by the variable with _FILE at its end.
	files []corev1.VolumeProjection
	named []corev1.EnvVar
}

// secretsPath is where a container finds its secrets as files.
const secretsPath = "/run/secrets/tenantry"

// applicationPods picks the pods that run the application's own code.
func applicationPods() metav1.LabelSelector {
	return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key: "app.kubernetes.io/component", Operator: metav1.LabelSelectorOpIn, Values: []string{"api", "cronjob", "migration", "worker"},
	}}}
}

func (f *Fleet) scope(unit string) scope {
	return scope{
		meta:   meta{fleet: f.Name, unit: unit},
		fleet:  f,
		images: f.Platform.Images.resolved(f.Cluster.Registry),
	}
}

// lowerTenant lowers a tenant that has been validated.
func lowerTenant(path *field.Path, f *Fleet, t *Tenant) ([]Object, field.ErrorList) {
	s := f.scope(t.Name)
	s.tenant = t
	s.meta.tenant = true
	s.nodes = t.Placement.lowerPlacement(t.Name)
	s.priority = t.Tier.priorityClass()
	s.asks = t.projection()

	objects := slices.Concat(s.namespace(t.Tier), s.closed())

	parts := []part{
		t.Database.lowerDatabase(s),
		t.Cache.lowerCache(s),
		lowerStore(s, t.Store),
		t.Edge.lowerEdge(s),
		t.DNS.lowerDNS(s),
		f.Platform.telemetry(),
	}
	all := part{facts: map[string]fact{}}
	for _, p := range parts {
		all.objects = append(all.objects, p.objects...)
		maps.Copy(all.facts, p.facts)
		all.egress = append(all.egress, p.egress...)
		all.ingress = append(all.ingress, p.ingress...)
	}
	objects = append(objects, all.objects...)
	if errs := s.unanswered(path, all.facts); len(errs) > 0 {
		return nil, errs
	}

	settings := s.settings(all.facts)
	objects = append(objects, settings...)
	s.app = s.application(all, settings)

	objects = append(objects, t.API.lower(s, all.ingress)...)
	for _, w := range t.Workloads {
		objects = append(objects, w.lowerWorkload(s)...)
	}

	https := outside(443)
	if !slices.ContainsFunc(all.egress, func(rule networkingv1.NetworkPolicyEgressRule) bool { return reflect.DeepEqual(rule, https) }) {
		all.egress = append(all.egress, https)
	}
	for _, e := range t.Egress {
		all.egress = append(all.egress, addresses([]string{e.CIDR}, e.Port))
	}
	objects = append(objects, policy(s.named("application", "application", "application"), applicationPods(), nil, all.egress))
	objects = append(objects, s.adopt(t.Extra)...)
	s.admits(objects)
	return append(objects, t.delivery().lowerDeployer(s, objects)...), nil
}

// settingsName names the ConfigMap and the Secret that the settings are projected to.
const settingsName = "settings"

// projection is what the tenant's settings ask for; they have been validated.
func (t *Tenant) projection() config.Projection {
	p, err := config.Project(t.Settings)
	if err != nil {
		panic(fmt.Sprintf("settings of %s were not validated: %v", t.Name, err))
	}
	return p
}

// settings projects the tenant's settings to a ConfigMap, and to a Secret where the settings ask for any.
// A fact that is the same for all workloads and is a plain value stands in the ConfigMap too, so that a
// person finds everything in one place.
func (s scope) settings(facts map[string]fact) []Object {
	p := s.asks
	data := map[string]string{}
	for _, plain := range p.Plain {
		data[plain.Name] = plain.Value
	}
	for _, asked := range p.Facts {
		if f, ok := facts[asked.Fact]; ok && f.from == nil && f.needs == nil {
			data[asked.Name] = word(asked, f.value)
		}
	}
	objects := []Object{&corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: s.named(settingsName, "settings", settingsName),
		Data:       data,
	}}
	if len(p.Secrets) == 0 {
		return objects
	}
	sec := s.secret(settingsName, "settings", settingsName)
	for _, ref := range p.Secrets {
		sec.keys = append(sec.keys, secretKey{name: ref.Name, variable: ref.Name})
	}
	return append(objects, s.tenant.Secrets.lowerSecret(s, sec)...)
}

// secret is a Secret of the unit that a source will fill.
func (s scope) secret(name, component, app string) secret {
	return secret{
		meta: s.named(name, component, app),
		kind: corev1.SecretTypeOpaque,
		path: strings.Join([]string{s.fleet.Name, s.unit, name}, "/"),
	}
}

// application is made of the settings, and of all that they ask for. Its checksum counts every Secret that
// a container's variable is taken from, so that a new password reaches the pods that read it.
func (s scope) application(all part, settings []Object) application {
	app := application{asked: map[string]config.Fact{}, facts: all.facts}
	read := map[string]bool{}
	for _, asked := range s.asks.Facts {
		app.asked[asked.Name] = asked
		f := all.facts[asked.Fact]
		if s.tenant.API.SecretFiles && asked.Secret && f.from != nil && f.from.SecretKeyRef != nil {
			app.file(f.from.SecretKeyRef.Name, f.from.SecretKeyRef.Key, asked.Name)
			delete(app.asked, asked.Name)
		}
		for _, v := range append(f.needs, corev1.EnvVar{ValueFrom: f.from}) {
			if v.ValueFrom != nil && v.ValueFrom.SecretKeyRef != nil {
				read[v.ValueFrom.SecretKeyRef.Name] = true
			}
		}
	}
	counted := slices.Clone(settings)
	for _, o := range all.objects {
		if kind := o.GetObjectKind().GroupVersionKind().Kind; (kind == "Secret" || kind == "ExternalSecret") && read[o.GetName()] {
			counted = append(counted, o)
		}
	}
	app.checksum = checksum(counted...)
	for _, o := range settings {
		name := corev1.LocalObjectReference{Name: o.GetName()}
		_, plain := o.(*corev1.ConfigMap)
		switch {
		case plain:
			app.from = append(app.from, corev1.EnvFromSource{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: name}})
		case s.tenant.API.SecretFiles:
			for _, secret := range s.asks.Secrets {
				app.file(settingsName, secret.Name, secret.Name)
			}
		default:
			app.from = append(app.from, corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: name}})
		}
	}
	return app
}

// file mounts a key of a Secret under the name of the variable that it stands for.
func (a *application) file(secret, key, variable string) {
	a.files = append(a.files, corev1.VolumeProjection{Secret: &corev1.SecretProjection{
		LocalObjectReference: corev1.LocalObjectReference{Name: secret},
		Items:                []corev1.KeyToPath{{Key: key, Path: variable}},
	}})
	a.named = append(a.named, corev1.EnvVar{Name: variable + "_FILE", Value: secretsPath + "/" + variable})
}

// env is the variables of one container: the facts that differ between workloads, and those that no
// ConfigMap can hold.
func (a application) env(own map[string]fact) []corev1.EnvVar {
	facts := map[string]fact{}
	for name, asked := range a.asked {
		if f, ok := own[asked.Fact]; ok {
			f.value = word(asked, f.value)
			facts[name] = f
		} else if f, ok := a.facts[asked.Fact]; ok && (f.from != nil || f.needs != nil) {
			facts[name] = f
		}
	}
	return append(environment(facts), a.named...)
}

// word is a fact's value in the application's own words.
func word(asked config.Fact, value string) string {
	switch value {
	case "true":
		return cmp.Or(asked.True, value)
	case "false":
		return cmp.Or(asked.False, value)
	}
	return value
}

// unanswered reports the facts that the settings cannot do without and that no choice of the tenant publishes.
func (s scope) unanswered(path *field.Path, facts map[string]fact) field.ErrorList {
	var errs field.ErrorList
	for _, asked := range s.asks.Facts {
		if _, ok := facts[asked.Fact]; ok || !asked.Required || perWorkload(asked.Fact) {
			continue
		}
		errs = append(errs, field.Required(path.Child("settings").Key(asked.Name), fmt.Sprintf("is %s, which no choice of this tenant publishes: %s", asked.Fact, Facts[asked.Fact])))
	}
	return errs
}

func perWorkload(fact string) bool {
	return strings.HasPrefix(fact, "app.") || strings.HasPrefix(fact, "pod.") || strings.HasPrefix(fact, "pods.")
}

// validateSettings has the settings projected once, for the mistakes in them.
func (t *Tenant) validateSettings(c *checker) {
	if c.missing(t.Settings, "the application's settings, such as portal.Settings{}") {
		return
	}
	p, err := config.Project(t.Settings)
	if err != nil {
		all, ok := err.(interface{ Unwrap() []error })
		if !ok {
			c.forbidden(err.Error())
			return
		}
		for _, e := range all.Unwrap() {
			at := c.path
			problem := e.Error()
			if mistake, ok := errors.AsType[*config.Error](e); ok {
				at, problem = at.Child(mistake.Path), mistake.Name+" "+mistake.Problem
			}
			// Without the value: what config leaves out of its own errors stays out.
			*c.errs = append(*c.errs, &field.Error{Type: field.ErrorTypeInvalid, Field: at.String(), BadValue: field.OmitValueType{}, Detail: problem})
		}
	}
	for _, asked := range p.Facts {
		if _, known := Facts[asked.Fact]; !known {
			*c.errs = append(*c.errs, field.NotSupported(c.path.Key(asked.Name), asked.Fact, slices.Sorted(maps.Keys(Facts))))
		}
	}
}

// limits give a container that names no resources a small share, and keep one container from asking for
// what no node has.
func limits() corev1.LimitRangeSpec {
	list := func(cpu, memory, disk string) corev1.ResourceList {
		return corev1.ResourceList{
			corev1.ResourceCPU:              resource.MustParse(cpu),
			corev1.ResourceMemory:           resource.MustParse(memory),
			corev1.ResourceEphemeralStorage: resource.MustParse(disk),
		}
	}
	return corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
		Type:           corev1.LimitTypeContainer,
		DefaultRequest: list("100m", "128Mi", "256Mi"),
		Default:        list("500m", "256Mi", "1Gi"),
	}}}
}
