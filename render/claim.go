package render

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
)

// A claim is a name in the world that only one tenant may hold.
type claim struct{ kind, name string }

// stores are the buckets of a tenant, by their name within it.
func (t *Tenant) stores() map[string]ObjectStore {
	stores := map[string]ObjectStore{}
	if given(t.Store) {
		stores[storeName] = t.Store
	}
	if given(t.Database) && given(t.Database.backup().To) {
		stores[backupName] = t.Database.backup().To
	}
	return stores
}

type held struct {
	claim
	field string
}

// claims are the names in the world that the tenant holds and no other tenant of any fleet may.
func (t *Tenant) claims(f *Fleet) []held {
	var claims []held
	if given(t.Edge) && t.Edge.host() != "" {
		claims = append(claims, held{claim{"host", t.Edge.host()}, "edge"})
	}
	for i, host := range t.Hosts {
		claims = append(claims, held{claim{"host", host}, fmt.Sprintf("hosts[%d]", i)})
	}
	for name, store := range t.stores() {
		if endpoint, bucket := store.bucketName(f, t.Name, name); bucket != "" {
			claims = append(claims, held{claim{"bucket", bucket + " at " + endpoint}, map[string]string{storeName: "store", backupName: "database"}[name]})
		}
	}
	if given(t.Database) && t.Database.endpoint() != "" {
		claims = append(claims, held{claim{"database", t.Database.endpoint()}, "database"})
	}
	if given(t.Cache) && t.Cache.endpoint() != "" {
		claims = append(claims, held{claim{"cache", t.Cache.endpoint()}, "cache"})
	}
	if given(t.Secrets) && t.Secrets.origin(f.Name, t.Name) != "" {
		claims = append(claims, held{claim{"place for secrets", t.Secrets.origin(f.Name, t.Name)}, "secrets"})
	}
	slices.SortFunc(claims, func(a, b held) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name), cmp.Compare(a.field, b.field))
	})
	return claims
}

// hosts are all that the tenant may be found at.
func (t *Tenant) hosts() []string {
	if host := t.Edge.host(); host != "" {
		return append([]string{host}, t.Hosts...)
	}
	return slices.Clone(t.Hosts)
}

// inventory says in the release what a tenant is made of.
func (t *Tenant) inventory() map[string]string {
	made := map[string]string{"tier": t.Tier.String(), "image": t.API.Image}
	for name, variant := range map[string]any{
		"database": t.Database, "cache": t.Cache, "store": t.Store, "edge": t.Edge, "dns": t.DNS, "placement": t.Placement, "secrets": t.Secrets, "scale": t.API.Scale, "delivery": t.delivery(),
	} {
		made[name] = reflect.TypeOf(variant).Name()
	}
	if to := t.Database.backup().To; to != nil {
		made["backup"] = reflect.TypeOf(to).Name()
	}
	return made
}

func (f *Fleet) inventory() map[string]string {
	return map[string]string{"kubernetes": f.Cluster.Kubernetes}
}
