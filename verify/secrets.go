package verify

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tenantry/tenantry/render"
)

// sourcesOf lists where the values of a Secret come from, which no two tenants may share.
func sourcesOf(fleet string, o Object) []word {
	var sources []word
	add := func(source, field string, args ...any) {
		sources = append(sources, word{fmt.Sprintf(field, args...), source})
	}
	switch w := o.Object.(type) {
	case *corev1.Secret:
		for key, text := range w.Annotations {
			if !strings.HasPrefix(key, render.SecretPrefix) {
				continue
			}
			switch kind, rest, _ := strings.Cut(text, ":"); kind {
			case "generated":
				path, _, _ := strings.Cut(rest, "?")
				add("generated "+path, "metadata.annotations")
			case "environment":
				// Whose variables have a prefix, has all that have it.
				if prefix, _, ok := strings.Cut(rest, "__"); ok {
					rest = prefix + "__*"
				}
				add("variable "+rest+" of "+fleet, "metadata.annotations")
			}
		}
	case *unstructured.Unstructured:
		e, ok := externalSecretOf(o)
		if !ok {
			return nil
		}
		for i, d := range e.Spec.Data {
			add("place "+d.RemoteRef.Key+" in "+e.Spec.Store.Name, "spec.data[%d].remoteRef", i)
		}
		for i, d := range e.Spec.DataFrom {
			add("place "+d.Extract.Key+" in "+e.Spec.Store.Name, "spec.dataFrom[%d]", i)
		}
	}
	return sources
}

// An externalSecret is what of External Secrets' ExternalSecret decides about the Secret that it makes.
type externalSecret struct {
	Spec struct {
		Store  objectRef `json:"secretStoreRef"`
		Target struct {
			Name     string `json:"name"`
			Template *struct {
				Data map[string]string `json:"data"`
			} `json:"template"`
		} `json:"target"`
		Data []struct {
			SecretKey string `json:"secretKey"`
			RemoteRef struct {
				Key      string `json:"key"`
				Property string `json:"property"`
			} `json:"remoteRef"`
		} `json:"data"`
		DataFrom []struct {
			Extract struct {
				Key string `json:"key"`
			} `json:"extract"`
		} `json:"dataFrom"`
	} `json:"spec"`
}

// externalSecretOf reads an ExternalSecret; ok is false for what is none.
func externalSecretOf(o Object) (e externalSecret, ok bool) {
	w, ok := o.Object.(*unstructured.Unstructured)
	if ok = ok && w.GroupVersionKind().GroupKind().String() == "ExternalSecret.external-secrets.io"; ok {
		convert(w, &e)
	}
	return e, ok
}

func secretsShared(s *subject) []Finding {
	var findings []Finding
	for i := range s.Units {
		u := &s.Units[i]
		me := owner{s.Name, u.Name}
		for _, o := range u.Objects {
			for _, from := range sourcesOf(s.Name, o) {
				tell := func(message, remedy string) {
					findings = append(findings, s.finding("names/secret", u.Name, o, from.field, message, remedy))
				}
				kind, path, _ := strings.Cut(from.text, " ")
				path, _, _ = strings.Cut(path, " ")
				switch parts := strings.SplitN(path, "/", 3); {
				case kind == "generated" && u.Name != render.PlatformUnit && (len(parts) < 3 || parts[0] != s.Name || parts[1] != u.Name):
					tell("the value is generated for "+path+", and is the same there", "generate it for "+s.Name+"/"+u.Name+"/…")
					continue
				case kind == "generated":
					continue
				case kind == "place" && path == "":
					tell("it takes what there is in the store, whosever it is", "name the places to take values from")
					continue
				case kind == "place" && len(parts) > 1 && (owner{parts[0], parts[1]}) != me && s.names.services[owner{parts[0], parts[1]}] != nil:
					tell("the value is taken from "+path+", which is "+parts[0]+"/"+parts[1]+"'s", "take it from "+s.Name+"/"+u.Name+"/…")
					continue
				}
				for _, h := range s.names.secrets[from.text] {
					if h.owner != me {
						tell(fmt.Sprintf("%s takes values from there too, by %s: the %s", h.owner, h.object.ID(), from.text), "give each tenant a place of its own")
						break
					}
				}
			}
		}
	}
	return findings
}
