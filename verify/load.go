package verify

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	certv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/json"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/tenantry/tenantry/render"
	schemas "github.com/tenantry/tenantry/verify/schema"
)

// A Fleet is what is to run in one cluster.
type Fleet struct {
	Name  string
	Facts Facts // Load and Of leave them empty
	Units []Unit
}

// A Unit is a tenant of a fleet, or its platform.
type Unit struct {
	Name    string // and the namespace of all its objects that have one
	Objects []Object
}

// An Object is one file. Kinds whose types are compiled in are held in them, as [render.Units] makes them;
// all other kinds are unstructured.
type Object struct {
	render.Object
	File string // within the unit's directory
	yaml []byte
}

// ID is the kind and the name: "NetworkPolicy/api".
func (o Object) ID() string { return o.GetObjectKind().GroupVersionKind().Kind + "/" + o.GetName() }

// line is where a field such as spec.ingress[0].from stands in the file, or what of it there is; 1 for the
// object itself.
func (o Object) line(field string) int { return locate(o.yaml, field) }

// scheme is the types that objects are held in.
var scheme = sync.OnceValue(func() *kruntime.Scheme {
	s := kruntime.NewScheme()
	for _, add := range []func(*kruntime.Scheme) error{
		admissionv1.AddToScheme, appsv1.AddToScheme, autoscalingv2.AddToScheme, batchv1.AddToScheme, certv1.AddToScheme, corev1.AddToScheme, gatewayv1.Install,
		kustomizev1.AddToScheme, monitoringv1.AddToScheme, networkingv1.AddToScheme, nodev1.AddToScheme, policyv1.AddToScheme, rbacv1.AddToScheme,
		schedulingv1.AddToScheme, sourcev1.AddToScheme, storagev1.AddToScheme,
	} {
		utilruntime.Must(add(s))
	}
	return s
})

// clusterScoped lists the kinds that have no namespace.
var clusterScoped = []string{
	"APIService", "CSIDriver", "ClusterExternalSecret", "ClusterIssuer", "ClusterRole", "ClusterRoleBinding", "ClusterSecretStore",
	"CustomResourceDefinition", "GatewayClass", "IngressClass", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding",
	"MutatingWebhookConfiguration", "Namespace", "Node", "PersistentVolume", "PriorityClass", "RuntimeClass", "StorageClass",
	"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration", "VolumeAttributesClass",
}

// A Mistake is a file that cannot be verified because of what stands in it.
type Mistake struct {
	File    string // from the directory that was loaded
	Line    int
	Problem string
}

func (m *Mistake) Error() string { return fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.Problem) }

// Load reads a directory that is laid out as <fleet>/<unit>/<object>.yaml, one object to a file. It reports
// all mistakes at once, as an error that joins one [*Mistake] each, and loads nothing then. It opens regular files only.
func Load(fsys fs.FS) ([]Fleet, error) {
	var files []string
	var mistakes []error
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
		case entry.Type() == fs.ModeSymlink:
			mistakes = append(mistakes, &Mistake{name, 1, "is a symbolic link, and no file"})
		case !entry.Type().IsRegular():
			mistakes = append(mistakes, &Mistake{name, 1, "is a special file, and no file"})
		case strings.Count(name, "/") != 2:
			mistakes = append(mistakes, &Mistake{name, 1, "a file belongs at <fleet>/<unit>/<object>.yaml"})
		case path.Ext(name) != ".yaml":
			mistakes = append(mistakes, &Mistake{name, 1, "is no .yaml file, so that nothing would be verified of it"})
		default:
			for part := range strings.SplitSeq(name, "/") {
				if !fileName.MatchString(part) {
					mistakes = append(mistakes, &Mistake{name, 1, fmt.Sprintf("%q is no name of an object's, a unit's or a fleet's", part)})
					return nil
				}
			}
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the objects: %w", err)
	}
	if len(files)+len(mistakes) == 0 {
		return nil, errors.New("reading the objects: there is no <fleet>/<unit>/<object>.yaml")
	}
	objects, found := make([]Object, len(files)), make([][]error, len(files))
	each(len(files), func(i int) {
		text, err := fs.ReadFile(fsys, files[i])
		if err != nil {
			found[i] = []error{fmt.Errorf("reading the objects: %w", err)}
			return
		}
		objects[i], found[i] = parse(files[i], text)
	})
	if all := slices.Concat(mistakes, slices.Concat(found...), repeated(files, objects)); len(all) > 0 {
		return nil, errors.Join(all...)
	}
	var fleets []Fleet
	for i, name := range files {
		parts := strings.Split(name, "/")
		fleets = insert(fleets, parts[0], parts[1], objects[i])
	}
	return fleets, nil
}

// Parse reads one file, of which name is <fleet>/<unit>/<object>.yaml. The error joins one [*Mistake] each.
func Parse(name string, text []byte) (Object, error) {
	o, mistakes := parse(name, text)
	return o, errors.Join(mistakes...)
}

// Of is what [Load] would read from the golden files of the units, without reading them.
func Of(units []render.Unit) ([]Fleet, error) {
	type item struct {
		unit *render.Unit
		file *render.File
	}
	var items []item
	var files []string
	for i := range units {
		for j := range units[i].Files {
			items = append(items, item{&units[i], &units[i].Files[j]})
			files = append(files, path.Join(units[i].Fleet, units[i].Name, units[i].Files[j].Name))
		}
	}
	objects, found := make([]Object, len(items)), make([][]error, len(items))
	each(len(items), func(i int) {
		f, name := items[i].file, files[i]
		objects[i] = Object{Object: f.Object, File: f.Name, yaml: f.YAML}
		want, err := scheme().New(f.Object.GetObjectKind().GroupVersionKind())
		if err != nil || reflect.TypeOf(want) != reflect.TypeOf(f.Object) {
			objects[i], found[i] = parse(name, f.YAML) // a narrow type of render's, or an extra object
			return
		}
		found[i] = objects[i].check(name)
	})
	if all := append(slices.Concat(found...), repeated(files, objects)...); len(all) > 0 {
		return nil, errors.Join(all...)
	}
	var fleets []Fleet
	for i, it := range items {
		fleets = insert(fleets, it.unit.Fleet, it.unit.Name, objects[i])
	}
	return fleets, nil
}

// repeated finds objects that a file before them holds already: in a cluster there can only be one of the two.
func repeated(files []string, objects []Object) []error {
	type key struct {
		fleet string
		kind  schema.GroupKind
		space string
		name  string
	}
	var mistakes []error
	first := map[key]string{}
	for i, o := range objects {
		if o.Object == nil || o.GetName() == "" { // a mistake of its own
			continue
		}
		fleet, _, _ := strings.Cut(files[i], "/")
		k := key{fleet, o.GetObjectKind().GroupVersionKind().GroupKind(), o.GetNamespace(), o.GetName()}
		if file, seen := first[k]; seen {
			mistakes = append(mistakes, &Mistake{files[i], o.line("metadata.name"), o.ID() + " is in " + file + " already: take one of them out"})
			continue
		}
		first[k] = files[i]
	}
	return mistakes
}

// each calls f for every index below n, on all processors.
func each(n int, f func(int)) {
	var wait sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wait.Go(func() {
			for i := w; i < n; i += workers {
				f(i)
			}
		})
	}
	wait.Wait()
}

// insert adds an object to its unit. Objects come ordered by fleet and unit.
func insert(fleets []Fleet, fleet, unit string, o Object) []Fleet {
	if n := len(fleets); n == 0 || fleets[n-1].Name != fleet {
		fleets = append(fleets, Fleet{Name: fleet})
	}
	f := &fleets[len(fleets)-1]
	if n := len(f.Units); n == 0 || f.Units[n-1].Name != unit {
		f.Units = append(f.Units, Unit{Name: unit})
	}
	u := &f.Units[len(f.Units)-1]
	u.Objects = append(u.Objects, o)
	return fleets
}

var (
	fileName  = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.:_-]*$`)
	separator = regexp.MustCompile(`(?m)^(---|\.\.\.)(\s|$)`)
	lineOf    = regexp.MustCompile(`line (\d+): `)
	unknown   = regexp.MustCompile(`^unknown field "(.*)"$`)
)

// parse decodes the object of a file.
func parse(name string, text []byte) (Object, []error) {
	tree, err := Decode(name, text)
	if err != nil {
		return Object{}, []error{err}
	}
	return hold(name, text, tree)
}

// Decode reads the one document of a file, as maps, lists, text, bool, int64 and float64. The error is a [*Mistake].
func Decode(name string, text []byte) (map[string]any, error) {
	if tree, ok := render.Decode(text); ok {
		return tree, nil
	}
	for i, m := range separator.FindAllIndex(text, -1) {
		if i > 0 || len(bytes.TrimSpace(comment.ReplaceAll(text[:m[0]], nil))) > 0 {
			return nil, &Mistake{name, bytes.Count(text[:m[0]], []byte("\n")) + 1, "several documents in one file: give each object its own"}
		}
	}
	asJSON, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		line := 1
		if m := lineOf.FindStringSubmatch(err.Error()); m != nil {
			line, _ = strconv.Atoi(m[1])
		}
		return nil, &Mistake{name, line, fmt.Sprintf("is no YAML: %v", err)}
	}
	var tree map[string]any
	if err := json.Unmarshal(asJSON, &tree); err != nil || tree == nil {
		return nil, &Mistake{name, 1, "holds no object"}
	}
	return tree, nil
}

// hold makes an object of the type of its kind out of a tree.
func hold(name string, text []byte, tree map[string]any) (Object, []error) {
	at := func(line int, format string, args ...any) []error {
		return []error{&Mistake{name, line, fmt.Sprintf(format, args...)}}
	}
	u := &unstructured.Unstructured{Object: tree}
	o := Object{Object: u, File: path.Base(name), yaml: text}
	gvk := u.GroupVersionKind()
	switch {
	case gvk.Kind == "" || gvk.Version == "":
		return Object{}, at(1, "holds no object: apiVersion and kind are not both set")
	case scheme().Recognizes(gvk):
		typed, err := scheme().New(gvk)
		if err != nil {
			return Object{}, at(1, "%v", err)
		}
		object, ok := typed.(render.Object)
		if !ok {
			return Object{}, at(o.line("kind"), "holds a %s, and no object: give each object a file of its own", gvk.Kind)
		}
		if err := kruntime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(tree, typed, true); err != nil {
			return Object{}, undecoded(o, name, tree, typed, err)
		}
		o.Object = object
	case builtIn(gvk.Group) || scheme().IsGroupRegistered(gvk.Group):
		if set, err := schemas.For(schemas.Newest()); err == nil {
			if d, gone := set.Deprecation(gvk); gone {
				message, remedy := deprecation(d)
				return Object{}, at(o.line("apiVersion"), "%s of %s %s: %s", gvk.Kind, gvk.GroupVersion(), message, remedy)
			}
		}
		return Object{}, at(o.line("kind"), "unknown kind %s of %s", gvk.Kind, gvk.GroupVersion())
	}
	return o, o.check(name)
}

var comment = regexp.MustCompile(`(?m)^\s*(#|%).*$`)

// builtIn says that a group is Kubernetes' own.
func builtIn(group string) bool {
	return !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io") && !strings.HasSuffix(group, ".x-k8s.io") && group != "externaldns.k8s.io"
}

// undecoded says why a tree did not decode into its type, and where.
func undecoded(o Object, name string, tree map[string]any, typed any, err error) []error {
	if strict, ok := kruntime.AsStrictDecodingError(err); ok {
		var mistakes []error
		for _, e := range strict.Errors() {
			line := 1
			if m := unknown.FindStringSubmatch(e.Error()); m != nil {
				line = o.line(m[1])
			}
			mistakes = append(mistakes, &Mistake{name, line, e.Error()})
		}
		return mistakes
	}
	line := 1
	// The converter does not say where; decoding once more does.
	asJSON, _ := json.Marshal(tree)
	if again := json.Unmarshal(asJSON, typed); again != nil {
		err = again
		if m := inField.FindStringSubmatch(again.Error()); m != nil {
			line = o.line(m[1])
		}
	}
	return []error{&Mistake{name, line, err.Error()}}
}

// inField finds the path in an error of encoding/json, behind the name of a Go type.
var inField = regexp.MustCompile(`Go struct field \w+\.([\w.]+) of type`)

// check finds what keeps rules from understanding an object: a wrong place, a selector or a policy that the
// API server would refuse.
func (o Object) check(name string) []error {
	var errs field.ErrorList
	gvk := o.GetObjectKind().GroupVersionKind()
	unit := path.Base(path.Dir(name))
	if o.GetName() == "" {
		errs = append(errs, field.Required(field.NewPath("metadata", "name"), "name the object"))
	}
	if ns := o.GetNamespace(); slices.Contains(clusterScoped, gvk.Kind) {
		if ns != "" {
			errs = append(errs, field.Forbidden(field.NewPath("metadata", "namespace"), "a "+gvk.Kind+" has none"))
		}
	} else if ns != unit {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "namespace"), ns, "wrong directory: "+unit+"/ holds the objects of the namespace "+unit))
	}
	spec := field.NewPath("spec")
	selector := func(s *metav1.LabelSelector, at *field.Path) {
		errs = append(errs, metav1validation.ValidateLabelSelector(s, metav1validation.LabelSelectorValidationOptions{}, at)...)
	}
	switch o := o.Object.(type) {
	case *networkingv1.NetworkPolicy:
		errs = append(errs, checkPolicy(o)...)
	case *appsv1.Deployment:
		selector(o.Spec.Selector, spec.Child("selector"))
	case *appsv1.StatefulSet:
		selector(o.Spec.Selector, spec.Child("selector"))
	case *appsv1.DaemonSet:
		selector(o.Spec.Selector, spec.Child("selector"))
	case *appsv1.ReplicaSet:
		selector(o.Spec.Selector, spec.Child("selector"))
	case *policyv1.PodDisruptionBudget:
		selector(o.Spec.Selector, spec.Child("selector"))
	case *monitoringv1.PodMonitor:
		selector(&o.Spec.Selector, spec.Child("selector"))
	case *monitoringv1.ServiceMonitor:
		selector(&o.Spec.Selector, spec.Child("selector"))
	}
	mistakes := make([]error, len(errs))
	for i, err := range errs {
		mistakes[i] = &Mistake{name, o.line(err.Field), err.Error()}
	}
	return mistakes
}

// checkPolicy finds what the API server would refuse of a network policy, and what therefore has no meaning.
func checkPolicy(p *networkingv1.NetworkPolicy) field.ErrorList {
	var errs field.ErrorList
	spec := field.NewPath("spec")
	selector := func(s *metav1.LabelSelector, at *field.Path) {
		errs = append(errs, metav1validation.ValidateLabelSelector(s, metav1validation.LabelSelectorValidationOptions{}, at)...)
	}
	peers := func(list []networkingv1.NetworkPolicyPeer, at *field.Path) {
		for i, p := range list {
			at := at.Index(i)
			selector(p.PodSelector, at.Child("podSelector"))
			selector(p.NamespaceSelector, at.Child("namespaceSelector"))
			switch {
			case p.IPBlock == nil && p.PodSelector == nil && p.NamespaceSelector == nil:
				errs = append(errs, field.Required(at, "a selector or an ipBlock"))
			case p.IPBlock != nil && (p.PodSelector != nil || p.NamespaceSelector != nil):
				errs = append(errs, field.Forbidden(at, "ipBlock stands alone"))
			case p.IPBlock != nil:
				errs = append(errs, checkBlock(p.IPBlock, at.Child("ipBlock"))...)
			}
		}
	}
	ports := func(list []networkingv1.NetworkPolicyPort, at *field.Path) {
		for i, p := range list {
			errs = append(errs, checkPort(p, at.Index(i))...)
		}
	}
	selector(&p.Spec.PodSelector, spec.Child("podSelector"))
	for i, rule := range p.Spec.Ingress {
		at := spec.Child("ingress").Index(i)
		peers(rule.From, at.Child("from"))
		ports(rule.Ports, at.Child("ports"))
	}
	for i, rule := range p.Spec.Egress {
		at := spec.Child("egress").Index(i)
		peers(rule.To, at.Child("to"))
		ports(rule.Ports, at.Child("ports"))
	}
	for i, t := range p.Spec.PolicyTypes {
		if t != networkingv1.PolicyTypeIngress && t != networkingv1.PolicyTypeEgress {
			errs = append(errs, field.NotSupported(spec.Child("policyTypes").Index(i), t, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}))
		}
	}
	return errs
}

func checkBlock(b *networkingv1.IPBlock, at *field.Path) field.ErrorList {
	whole, err := netip.ParsePrefix(b.CIDR)
	if err != nil || whole.Addr().Is4In6() {
		return field.ErrorList{field.Invalid(at.Child("cidr"), b.CIDR, "must be an address range such as 10.0.0.0/8")}
	}
	var errs field.ErrorList
	for i, s := range b.Except {
		part, err := netip.ParsePrefix(s)
		if err != nil || !whole.Contains(part.Addr()) || part.Bits() <= whole.Bits() {
			errs = append(errs, field.Invalid(at.Child("except").Index(i), s, "must be an address range within "+b.CIDR+" and smaller"))
		}
	}
	return errs
}

func checkPort(p networkingv1.NetworkPolicyPort, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if p.Protocol != nil && !slices.Contains(protocolNames[:], string(*p.Protocol)) {
		errs = append(errs, field.NotSupported(at.Child("protocol"), *p.Protocol, protocolNames[:]))
	}
	outside := func(n int32) bool { return n < 1 || n > 65535 }
	switch {
	case p.Port == nil && p.EndPort != nil, p.Port != nil && p.Port.Type == intstr.String && p.EndPort != nil:
		errs = append(errs, field.Invalid(at.Child("endPort"), *p.EndPort, "needs a port that is a number"))
	case p.Port == nil:
	case p.Port.Type == intstr.String && p.Port.StrVal == "", p.Port.Type == intstr.Int && outside(p.Port.IntVal):
		errs = append(errs, field.Invalid(at.Child("port"), p.Port.String(), "must be a name, or a number from 1 to 65535"))
	case p.EndPort != nil && (outside(*p.EndPort) || *p.EndPort < p.Port.IntVal):
		errs = append(errs, field.Invalid(at.Child("endPort"), *p.EndPort, "must be a number from the port to 65535"))
	}
	return errs
}

// known says that rules understand a kind, and know what pods come of it: that it is typed here, or one of
// the custom resources that render makes.
func known(gvk schema.GroupVersionKind) bool {
	if gvk.Group == sourcev1.GroupVersion.Group {
		return slices.Contains([]string{sourcev1.GitRepositoryKind, sourcev1.OCIRepositoryKind}, gvk.Kind)
	}
	if scheme().Recognizes(gvk) {
		return gvk.Group != monitoringv1.SchemeGroupVersion.Group || !slices.Contains([]string{"Alertmanager", "Prometheus", "PrometheusAgent", "ThanosRuler"}, gvk.Kind)
	}
	return slices.Contains([]string{
		"barmancloud.cnpg.io/ObjectStore", "external-secrets.io/ExternalSecret", "externaldns.k8s.io/DNSEndpoint", "gateway.envoyproxy.io/BackendTrafficPolicy",
		"postgresql.cnpg.io/Cluster", "postgresql.cnpg.io/Database", "postgresql.cnpg.io/Pooler", "postgresql.cnpg.io/ScheduledBackup",
	}, gvk.Group+"/"+gvk.Kind)
}
