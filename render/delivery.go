package render

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/kustomize"
	fluxmeta "github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Delivery is who brings a unit's golden directory into the cluster. Both take the same directory; it says a
// little more where Flux takes it.
//
//sumtype:decl
type Delivery interface {
	// validateDelivery checks the choice of a unit, at the path of the tenant or the platform.
	validateDelivery(c *checker, f *Fleet, unit string)
	// lowerDeployer is the tenant's deploy identity with what it may do.
	lowerDeployer(s scope, objects []Object) []Object
	// lowerDelivery is what the platform's unit holds so that a unit is brought.
	lowerDelivery(s scope, unit string, after []string) []Object
	// lowerPlatformDelivery is what the platform's unit, which is made of the objects, holds to be brought itself.
	lowerPlatformDelivery(s scope, objects []Object) []Object
	// mark says on an object of a unit what whoever applies it has to know, and refuses what he cannot apply.
	mark(path *field.Path, o Object, tenant bool) *field.Error
}

// Pulumi pushes: the command in deploy/ applies the unit when a change is merged.
type Pulumi struct{}

// Flux pulls: its controllers, which run in the cluster beside the platform, fetch the unit from the platform's
// Source and apply it. A tenant's unit is applied by an account that may change nothing outside the tenant's
// namespace and none of the tenant's bounds; the bounds themselves, and the platform's unit, by the account fleet
// of the platform's namespace, which whoever installs Flux grants what it needs.
//
// Flux fills no Secret: every secret of such a unit comes from ExternalSecrets or GeneratedByOperator.
type Flux struct{}

var (
	_ Delivery = Pulumi{}
	_ Delivery = Flux{}
)

// delivery is how a tenant is brought.
func (t *Tenant) delivery() Delivery { return cmp.Or[Delivery](t.Delivery, Pulumi{}) }

func (p *Platform) delivery() Delivery { return cmp.Or[Delivery](p.Delivery, Pulumi{}) }

const deployerName = "deployer"

func (Pulumi) validateDelivery(*checker, *Fleet, string) {}

func (Pulumi) lowerDeployer(s scope, objects []Object) []Object {
	own := s.serviceAccount(deployerName, deployerName, deployerName)
	return append([]Object{own}, s.deployer(objects, account(s.unit, deployerName))...)
}

func (Pulumi) lowerDelivery(scope, string, []string) []Object { return nil }

func (Pulumi) lowerPlatformDelivery(scope, []Object) []Object { return nil }

func (Pulumi) mark(*field.Path, Object, bool) *field.Error { return nil }

// The stages in which Flux applies a tenant's unit, each when all of the one before it is applied and healthy, so
// that the bounds are there before anything runs, and migrations are done before a new version serves.
const (
	stageBounds     = "bounds"
	stageFoundation = "foundation" // configuration, secrets, database, cache, migrations
	stageWorkload   = "workload"
)

// StageAnnotation says in which stage Flux applies an object.
const StageAnnotation = "tenantry.dev/stage"

// fleetAccount is the account of the platform's namespace that stands for the fleet's own deploy identity.
const fleetAccount = "fleet"

// pulled is the account of the platform's namespace by which Flux applies a tenant. No tenant's name has a dot,
// and so none is called like another account.
func pulled(tenant string) string { return tenant + "." + deployerName }

// stageName names the Kustomization of a stage; the last one is called like the tenant.
func stageName(tenant, stage string) string {
	if stage == stageWorkload {
		return tenant
	}
	return tenant + "." + stage
}

func (Flux) validateDelivery(c *checker, f *Fleet, unit string) {
	if f.Platform.Source == nil {
		c.at("delivery").forbidden("the fleet's platform has no Source to pull from: set it to a GitRepository or an OCIRepository")
	}
	// Flux puts the name of a Kustomization into a label.
	if most := 63 - len(stageName("", stageFoundation)); len(unit) > most {
		*c.errs = append(*c.errs, field.TooLong(c.path.Child("name"), unit, most))
	}
}

func (Flux) lowerDeployer(s scope, objects []Object) []Object {
	// Flux looks at what a Deployment has made before it takes it for healthy.
	return s.deployer(objects, account(PlatformUnit, pulled(s.unit)),
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: looks},
		rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"replicasets"}, Verbs: looks})
}

func (Flux) lowerDelivery(s scope, unit string, after []string) []Object {
	if _, too := s.fleet.Platform.delivery().(Flux); too {
		after = append([]string{PlatformUnit}, after...)
	}
	return []Object{
		s.serviceAccount(pulled(unit), "delivery", "flux"),
		s.kustomization(unit, stageBounds, fleetAccount, after),
		s.kustomization(unit, stageFoundation, pulled(unit), []string{stageName(unit, stageBounds)}),
		s.kustomization(unit, stageWorkload, pulled(unit), []string{stageName(unit, stageFoundation)}),
	}
}

// The platform's own Kustomization waits for workloads by their names: it applies all Kustomizations, which wait for it.
func (Flux) lowerPlatformDelivery(s scope, objects []Object) []Object {
	k := s.kustomization(PlatformUnit, "", fleetAccount, nil)
	k.Spec.Wait = false
	for _, o := range objects {
		switch gvk := o.GetObjectKind().GroupVersionKind(); gvk.Group + "/" + gvk.Kind {
		case "apps/DaemonSet", "apps/Deployment", "apps/StatefulSet", "batch/Job":
			k.Spec.HealthChecks = append(k.Spec.HealthChecks, fluxmeta.NamespacedObjectKindReference{
				APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind, Namespace: o.GetNamespace(), Name: o.GetName(),
			})
		}
	}
	return []Object{k}
}

// delivery is what the platform's unit, which is made of the objects, holds of Flux.
func (s scope) delivery(made []Object) []Object {
	p := &s.fleet.Platform
	if p.Source == nil {
		return nil
	}
	objects := []Object{p.Source.lowerSource(s), s.serviceAccount(fleetAccount, "delivery", "flux")}
	objects = append(objects, p.delivery().lowerPlatformDelivery(s, made)...)
	for i := range s.fleet.Tenants {
		t := &s.fleet.Tenants[i]
		objects = append(objects, t.delivery().lowerDelivery(s, t.Name, s.fleet.pulledBefore(t.Name))...)
	}
	return objects
}

// pulledBefore is the Kustomizations of the nearest ring before a tenant's that Flux brings any tenant of. Flux
// begins with what depends on them when they are healthy at the same revision.
func (f *Fleet) pulledBefore(tenant string) []string {
	for ring := f.RingOf(tenant) - 1; ring >= 0; ring-- {
		var names []string
		for i := range f.Tenants {
			t := &f.Tenants[i]
			if _, flux := t.delivery().(Flux); flux && f.RingOf(t.Name) == ring {
				names = append(names, stageName(t.Name, stageWorkload))
			}
		}
		if len(names) > 0 {
			slices.Sort(names)
			return names
		}
	}
	return nil
}

// kustomization has Flux apply what of a unit belongs to a stage; all of it where there is none.
//
// What golden no longer has is deleted, but for what holds data. Nothing is deleted because the Kustomization
// itself is, and nothing is replaced to change a field that cannot be changed: that fails, and says so.
func (s scope) kustomization(unit, stage, account string, after []string) *kustomizev1.Kustomization {
	kind, name := s.fleet.Platform.Source.reference()
	k := &kustomizev1.Kustomization{
		TypeMeta:   metav1.TypeMeta{APIVersion: kustomizev1.GroupVersion.String(), Kind: kustomizev1.KustomizationKind},
		ObjectMeta: s.named(stageName(unit, cmp.Or(stage, stageWorkload)), "delivery", "flux"),
		Spec: kustomizev1.KustomizationSpec{
			SourceRef:          kustomizev1.CrossNamespaceSourceReference{Kind: kind, Name: name},
			Path:               s.fleet.Platform.Source.directory(s.fleet.Name) + unit,
			ServiceAccountName: account,
			Interval:           metav1.Duration{Duration: 10 * time.Minute}, // what others have changed is set back
			RetryInterval:      &metav1.Duration{Duration: time.Minute},
			Timeout:            &metav1.Duration{Duration: 10 * time.Minute},
			Wait:               true,
			Prune:              true,
			DeletionPolicy:     kustomizev1.DeletionPolicyOrphan,
		},
	}
	switch stage {
	case stageFoundation:
		// Without this a database that no operator has looked at yet would count as healthy.
		k.Spec.HealthCheckExprs = healthy("postgresql.cnpg.io/v1", "Cluster", "status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')")
	case stageWorkload:
		// The certificate of a host waits for what a customer does with their DNS, and no rollout waits for that.
		k.Spec.HealthCheckExprs = healthy("cert-manager.io/v1", "Certificate", "true")
	}
	for _, name := range after {
		k.Spec.DependsOn = append(k.Spec.DependsOn, kustomizev1.DependencyReference{Name: name})
	}
	if stage != "" {
		k.Spec.Patches = []kustomize.Patch{{
			Target: &kustomize.Selector{AnnotationSelector: StageAnnotation + "!=" + stage},
			Patch:  "apiVersion: v1\nkind: Any\nmetadata:\n  name: any\n$patch: delete\n",
		}}
	}
	return k
}

func healthy(version, kind, expression string) []kustomize.CustomHealthCheck {
	return []kustomize.CustomHealthCheck{{APIVersion: version, Kind: kind, HealthCheckExpressions: kustomize.HealthCheckExpressions{Current: expression}}}
}

// stageOf is the stage in which Flux applies an object of a tenant.
func stageOf(o Object) string {
	kind := o.GetObjectKind().GroupVersionKind().Kind
	switch {
	case boundKinds[kind]:
		return stageBounds
	case kind == "ConfigMap" && o.GetName() == releaseName, rank(kind) > rank("Job"),
		kind == "Certificate" && o.GetLabels()["app.kubernetes.io/component"] == "edge":
		return stageWorkload
	}
	return stageFoundation
}

func (Flux) mark(path *field.Path, o Object, tenant bool) *field.Error {
	notes := map[string]string{}
	if tenant {
		notes[StageAnnotation] = stageOf(o)
	}
	if HoldsData(o.GetObjectKind().GroupVersionKind().GroupKind()) {
		notes[kustomizev1.GroupVersion.Group+"/prune"] = kustomizev1.DisabledValue
	}
	if _, secret := o.(*corev1.Secret); secret && len(o.GetAnnotations()) > 0 {
		at := objectPath(path, o)
		if tenant {
			at = secretField(path, o.GetLabels()["app.kubernetes.io/component"])
		}
		return field.Forbidden(at, "the Secret "+o.GetName()+" is filled by Pulumi when it applies it, and Flux fills none: take its values from ExternalSecrets; "+
			"the key of a GarageBucket is always generated, so take an S3")
	}
	o.SetAnnotations(with(o.GetAnnotations(), notes))
	return nil
}

// secretField is the choice because of which a tenant has the Secrets of a component.
func secretField(path *field.Path, component string) *field.Path {
	switch component {
	case "settings":
		return path.Child("secrets")
	case backupName:
		return path.Child("database", "backup", "to")
	}
	return path.Child(component)
}

// Source is where Flux pulls golden files from.
//
//sumtype:decl
type Source interface {
	validateSource(*checker)
	lowerSource(scope) Object
	// reference is the kind and the name under which Kustomizations know it.
	reference() (kind, name string)
	// directory is where in the source the units of a fleet lie, with a slash at its end.
	directory(fleet string) string
}

// GitRepository is this repository, or a copy of it, as the cluster reaches it. Of it golden/<fleet>/ is fetched.
type GitRepository struct {
	URL    string // such as "https://git.example.com/tenants" or "ssh://git@git.example.com/tenants"
	Branch string // Default "main"
	// Secret of the platform's namespace, by name, that opens it: username and password, or identity and
	// known_hosts. Somebody makes it when Flux is installed. Empty: everybody may read the repository.
	Secret string
	// Keys is a Secret of the platform's namespace, by name, with the public keys of those who sign commits. Empty:
	// commits are taken that nobody has signed.
	Keys string
}

// OCIRepository is an artifact in a registry, made of golden/<fleet>/ by flux push artifact.
type OCIRepository struct {
	URL string // such as "oci://registry.example.com/tenants/tower"
	Tag string // that moves to what is to run. Default "latest"
	// Secret of the platform's namespace, by name, of the type kubernetes.io/dockerconfigjson. Empty: everybody
	// may read it.
	Secret string
	// Keys is a Secret of the platform's namespace, by name, with the public keys of those who sign it with cosign.
	// Empty: artifacts are taken that nobody has signed.
	Keys string
}

var (
	_ Source = GitRepository{}
	_ Source = OCIRepository{}
)

const sourceName = "golden"

// frequency is how often a source is asked for something new.
var frequency = metav1.Duration{Duration: time.Minute}

func (g GitRepository) validateSource(c *checker) {
	c.at("url").location(g.URL, "https", "ssh")
	c.at("branch").matches(g.Branch, branchName, "a branch such as main or release/2")
	c.at("secret").secretName(g.Secret)
	c.at("keys").secretName(g.Keys)
}

func (GitRepository) reference() (string, string) { return sourcev1.GitRepositoryKind, sourceName }

func (GitRepository) directory(fleet string) string { return "./golden/" + fleet + "/" }

func (g GitRepository) lowerSource(s scope) Object {
	spec := sourcev1.GitRepositorySpec{
		URL:            g.URL,
		Reference:      &sourcev1.GitRepositoryRef{Branch: cmp.Or(g.Branch, "main")},
		Interval:       frequency,
		SecretRef:      local(g.Secret),
		SparseCheckout: []string{"golden/" + s.fleet.Name},
	}
	if g.Keys != "" {
		spec.Verification = &sourcev1.GitRepositoryVerification{Mode: sourcev1.ModeGitHEAD, SecretRef: *local(g.Keys)}
	}
	return &sourcev1.GitRepository{
		TypeMeta:   metav1.TypeMeta{APIVersion: sourcev1.GroupVersion.String(), Kind: sourcev1.GitRepositoryKind},
		ObjectMeta: s.named(sourceName, "delivery", "flux"),
		Spec:       spec,
	}
}

func (r OCIRepository) validateSource(c *checker) {
	c.at("url").location(r.URL, "oci")
	c.at("tag").matches(r.Tag, tagName, "a tag such as stable")
	c.at("secret").secretName(r.Secret)
	c.at("keys").secretName(r.Keys)
}

func (OCIRepository) reference() (string, string) { return sourcev1.OCIRepositoryKind, sourceName }

func (OCIRepository) directory(string) string { return "./" }

func (r OCIRepository) lowerSource(s scope) Object {
	spec := sourcev1.OCIRepositorySpec{
		URL:       r.URL,
		Reference: &sourcev1.OCIRepositoryRef{Tag: cmp.Or(r.Tag, "latest")},
		Interval:  frequency,
		SecretRef: local(r.Secret),
	}
	if r.Keys != "" {
		spec.Verify = &sourcev1.OCIRepositoryVerification{Provider: "cosign", SecretRef: local(r.Keys)}
	}
	return &sourcev1.OCIRepository{
		TypeMeta:   metav1.TypeMeta{APIVersion: sourcev1.GroupVersion.String(), Kind: sourcev1.OCIRepositoryKind},
		ObjectMeta: s.named(sourceName, "delivery", "flux"),
		Spec:       spec,
	}
}

// local refers to a Secret of the same namespace; nil for none.
func local(secret string) *fluxmeta.LocalObjectReference {
	if secret == "" {
		return nil
	}
	return &fluxmeta.LocalObjectReference{Name: secret}
}

var (
	branchName = regexp.MustCompile(`^[A-Za-z0-9_]+([./-][A-Za-z0-9_]+)*$`)
	tagName    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
)

// location is the URL of a source. What is wrong is not shown, for a password may stand in it.
func (c *checker) location(s string, schemes ...string) {
	u, err := url.Parse(s)
	if err == nil && slices.Contains(schemes, u.Scheme) && u.Host != "" && u.RawQuery == "" && u.Fragment == "" {
		if _, password := u.User.Password(); !password && (u.User == nil || u.Scheme == "ssh") {
			return
		}
	}
	*c.errs = append(*c.errs, &field.Error{
		Type: field.ErrorTypeInvalid, Field: c.path.String(), BadValue: field.OmitValueType{},
		Detail: "must be " + strings.Join(schemes, ":// or ") + "://, a host and a path, without password, query or fragment: what opens it is in a Secret",
	})
}

func (c *checker) matches(s string, pattern *regexp.Regexp, what string) {
	if s != "" && !pattern.MatchString(s) {
		c.invalid(s, "must be "+what)
	}
}

// secretName is of a Secret that somebody makes in the platform's namespace; empty for none.
func (c *checker) secretName(s string) {
	if s == "" {
		return
	}
	for _, msg := range validation.IsDNS1123Subdomain(s) {
		c.invalid(s, msg)
	}
}
