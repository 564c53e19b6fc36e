// Package render is Tenantry's compiler: it lowers typed tenant definitions to Kubernetes objects.
//
// The vocabulary is plain struct literals: a [Fleet] is one cluster in one environment, a [Tenant] is
// one customer in it, and every choice a tenant makes is a sealed interface whose unexported method is
// its lowering, so a variant that cannot be lowered does not compile. [Units] turns fleets into units:
// validated, totally ordered, encoded objects. It is a pure function of its argument: no clock, no
// environment, no file, no map order.
//
// The package knows no application. A tenant's settings are any struct that package config can project;
// the settings ask for facts ("database.url", "edge.host"), and the variants publish them.
package render

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// An Object is any typed Kubernetes object whose apiVersion and kind are set. The types of k8s.io/api
// and of every operator's own API module are objects.
type Object interface {
	metav1.Object
	GetObjectKind() schema.ObjectKind
}

// A Unit is one golden directory, one Pulumi stack and one blast radius: a tenant, or the platform of a
// fleet.
type Unit struct {
	Fleet    string
	Name     string // the tenant's name, or PlatformUnit
	Delivery Delivery
	Digest   string // of all files but the release, which carries it
	Files    []File // in the order in which they are applied; the release ConfigMap is last
}

// A File is one object and its encoding.
type File struct {
	Name   string // within the unit's directory, such as "deployment-api.yaml"
	Object Object
	YAML   []byte
}

// PlatformUnit is the name of the unit that every tenant of a fleet leans on.
const PlatformUnit = "platform"

// Units lowers every fleet to its units, each fleet's platform first and then its tenants by name.
//
// All mistakes in all fleets are reported at once, as an error that joins one [*field.Error] each, with
// paths such as fleets[prod].tenants[acme].database.storage; nothing is returned then. The order in which
// fleets and tenants are listed never changes a byte.
func Units(fleets []Fleet) ([]Unit, error) {
	if errs := validateFleets(fleets); len(errs) > 0 {
		return nil, joined(errs)
	}
	var jobs []func() (Unit, field.ErrorList)
	for i := range fleets {
		f := &fleets[i]
		path := fleetPath(f)
		jobs = append(jobs, func() (Unit, field.ErrorList) {
			return newUnit(path.Child("platform"), meta{fleet: f.Name, unit: PlatformUnit}, f.Platform.delivery(), lowerPlatform(f), f.inventory())
		})
		for j := range f.Tenants {
			t := &f.Tenants[j]
			jobs = append(jobs, func() (Unit, field.ErrorList) {
				path := tenantPath(path, t)
				objects, errs := lowerTenant(path, f, t)
				if len(errs) > 0 {
					return Unit{}, errs
				}
				return newUnit(path, meta{fleet: f.Name, unit: t.Name, tenant: true}, t.delivery(), objects, t.inventory())
			})
		}
	}
	units := make([]Unit, len(jobs))
	errs := make([]field.ErrorList, len(jobs))
	var next atomic.Int64
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(jobs)); i = next.Add(1) - 1 {
				units[i], errs[i] = jobs[i]()
			}
		})
	}
	wait.Wait()
	if all := slices.Concat(errs...); len(all) > 0 {
		return nil, joined(all)
	}
	slices.SortFunc(units, func(a, b Unit) int {
		if a.Fleet == b.Fleet && (a.Name == PlatformUnit) != (b.Name == PlatformUnit) {
			if a.Name == PlatformUnit {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Fleet, b.Fleet), cmp.Compare(a.Name, b.Name))
	})
	return units, nil
}

// joined makes one error of a list and keeps each part reachable with errors.As.
func joined(list field.ErrorList) error {
	errs := make([]error, len(list))
	for i, err := range list {
		errs[i] = err
	}
	return errors.Join(errs...)
}

// newUnit validates, orders, names and encodes a unit's objects and adds the release ConfigMap, which
// carries the digest of all the others and what the unit is made of.
func newUnit(path *field.Path, m meta, delivery Delivery, objects []Object, inventory map[string]string) (Unit, field.ErrorList) {
	if errs := validateObjects(path, objects); len(errs) > 0 {
		return Unit{}, errs
	}
	var errs field.ErrorList
	for _, o := range objects {
		if err := delivery.mark(path, o, m.tenant); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return Unit{}, errs
	}
	slices.SortFunc(objects, compareObjects)
	names := fileNames(objects)
	unit := Unit{Fleet: m.fleet, Name: m.unit, Delivery: delivery, Files: make([]File, 0, len(objects)+1)}
	digest := sha256.New()
	for i, o := range objects {
		yaml, err := Encode(o)
		if err != nil {
			return Unit{}, field.ErrorList{field.Invalid(objectPath(path, o), names[i], err.Error())}
		}
		fmt.Fprintf(digest, "%s %d\n", names[i], len(yaml))
		digest.Write(yaml)
		unit.Files = append(unit.Files, File{names[i], o, yaml})
	}
	unit.Digest = "sha256:" + hex.EncodeToString(digest.Sum(nil))
	inventory["digest"] = unit.Digest
	release := &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: m.release(),
		Data:       inventory,
	}
	if err := delivery.mark(path, release, m.tenant); err != nil {
		return Unit{}, field.ErrorList{err}
	}
	yaml, err := Encode(release)
	if err != nil {
		return Unit{}, field.ErrorList{field.Invalid(path, releaseName, err.Error())}
	}
	unit.Files = append(unit.Files, File{fileNames([]Object{release})[0], release, yaml})
	return unit, nil
}

// releaseName names the ConfigMap by which one list call finds every unit that is deployed to a cluster, by
// the label tenantry.dev/release.
const releaseName = "tenantry-release"

func (m meta) release() metav1.ObjectMeta {
	o := m.named(releaseName, "release", releaseName)
	o.Labels["tenantry.dev/release"] = "true"
	return o
}
