package review

import (
	"bytes"
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/tenantry/tenantry/verify"
)

// A stake is how changes bear on what anything in the fleet reaches or may do.
type stake struct {
	certain bool     // they may change it, so that it has to be evaluated
	labels  []string // they may if anything picks pods or namespaces by one of these
}

// weigh is the stake of a change of one object.
func weigh(before, after *object, fields []Field) stake {
	o := cmp.Or(after, before)
	kind := o.GroupKind().String()
	rules := slices.Contains([]string{
		"NetworkPolicy.networking.k8s.io", "Role.rbac.authorization.k8s.io", "RoleBinding.rbac.authorization.k8s.io",
		"ClusterRole.rbac.authorization.k8s.io", "ClusterRoleBinding.rbac.authorization.k8s.io", "Kustomization.kustomize.toolkit.fluxcd.io",
	}, kind)
	pods := podAt[o.Kind] != ""
	known := effects[kind] != nil && o.Group != "postgresql.cnpg.io" && o.Group != "cert-manager.io"
	switch {
	case !rules && !pods && known && kind != "Namespace":
		return stake{}
	case before == nil, after == nil, before.id() != after.id() && o.Kind != "Job": // a Job has another name for every content
		return stake{certain: true}
	}
	var s stake
	for _, f := range fields {
		label, is := labelAt(kind, f.Path)
		own := strings.HasPrefix(f.Path, "metadata")
		switch {
		case is && label != "" && !rules:
			s.labels = append(s.labels, label)
		case is, rules && !own, // all labels at once, and those that roles are gathered by
			strings.HasSuffix(f.Path, "emplate"), strings.HasSuffix(f.Path, "emplate.metadata"), strings.HasSuffix(f.Path, "emplate.spec"),
			strings.Contains(f.Path, "inheritedMetadata"), strings.Contains(f.Path, ".ports"), strings.Contains(f.Path, "hostNetwork"), strings.Contains(f.Path, "serviceAccount"),
			strings.Contains(f.Path, "ontainers") && strings.Contains(f.Before+f.After, "ports: "),
			!pods && !own && !strings.HasPrefix(f.Path, "spec.postgresql") && strings.Contains(f.Path, "emplate"):
			s.certain = true
		}
	}
	return s
}

// labelAt is the label that a field is of what is picked by labels; empty where it is all of them, or no plain one.
func labelAt(kind, path string) (label string, is bool) {
	_, label, is = strings.Cut(path, "emplate.metadata.labels")
	if !is {
		_, label, is = strings.Cut(path, "inheritedMetadata.labels")
	}
	if !is && (kind == "Namespace" || strings.HasPrefix(kind, "ClusterRole.")) {
		label, is = strings.CutPrefix(path, "metadata.labels")
	}
	if strings.Contains(label, `"`) {
		return "", is
	}
	return strings.Trim(label, "[.]"), is
}

// add makes one stake of two.
func (s *stake) add(other stake) {
	s.certain = s.certain || other.certain
	for _, label := range other.labels {
		if !slices.Contains(s.labels, label) {
			s.labels = append(s.labels, label)
		}
	}
}

// matters tells whether the fleet has to be evaluated for a stake.
func (s States) matters(units []*unitPair, facts verify.Facts, all stake) bool {
	return all.certain || len(all.labels) > 0 && (slices.ContainsFunc(all.labels, facts.Picks) || s.picks(units, all.labels))
}

// picks tells whether a policy of the fleet picks pods or namespaces by one of the labels, or may. Of files that do not
// change, those are read that are not named after another kind.
func (s States) picks(units []*unitPair, labels []string) bool {
	picks := func(text []byte) bool {
		switch {
		case !bytes.Contains(text, []byte("NetworkPolicy")):
			return false
		case bytes.ContainsAny(text, "\\&*"): // it may say so in other words
			return true
		}
		if _, spec, found := bytes.Cut(text, []byte("\nspec:")); found {
			text = spec
		}
		return slices.ContainsFunc(labels, func(label string) bool { return bytes.Contains(text, []byte(label)) })
	}
	kinds := map[string]bool{}
	for kind := range effects {
		kind, _, _ = strings.Cut(kind, ".")
		kinds[strings.ToLower(kind)] = true
	}
	found := make([]bool, len(units))
	each(len(units), func(i int) {
		p := units[i]
		found[i] = slices.ContainsFunc(p.files, func(f File) bool { return picks(f.Before) || picks(f.After) }) ||
			slices.ContainsFunc(p.same, func(file string) bool {
				if kind, _, _ := strings.Cut(file, "-"); kind != "networkpolicy" && kinds[kind] {
					return false
				}
				text, err := s.Read(path.Join(p.fleet, p.name, file))
				return err != nil || picks(text)
			})
	})
	return slices.Contains(found, true)
}

// A shift is what evaluating a whole fleet before and after says of an object: it is a change of isolation, or
// something is cut off.
type shift struct {
	unit, object string // kind and name: "NetworkPolicy/api"
	ruling
}

// evaluate compares what a fleet lets happen before and after. The units that matter to it and have not changed are
// the same in both. was and is are who reaches whom; nil when that stays the same.
func evaluate(before, after *verify.Fleet) (shifts []shift, was, is *verify.Reachability) {
	d := verify.Differ(before, after)
	changed := changedObjects(before, after)
	if len(changed) == 0 {
		return nil, nil, nil
	}
	suspects := suspectsOf(changed)
	type place struct{ unit, object string }
	texts := map[place][]string{}
	lists := []struct {
		of   []verify.Shift
		make func(string) ruling
	}{
		{d.Gains, isolates},
		{d.Losses, func(reason string) ruling { return ruling{verdict: Interruption, reason: reason} }},
	}
	for _, list := range lists {
		clear(texts)
		var order []place
		for _, s := range list.of {
			o := suspects.blamed(s)
			at := place{o.unit, o.id}
			if texts[at] == nil {
				order = append(order, at)
			}
			if !slices.Contains(texts[at], s.Text) {
				texts[at] = append(texts[at], s.Text)
			}
		}
		for _, at := range order {
			shifts = append(shifts, shift{at.unit, at.object, list.make(someTexts(texts[at]))})
		}
	}
	if len(d.Gains)+len(d.Losses) > 0 {
		return shifts, &d.Before, &d.After
	}
	return nil, nil, nil
}

// someTexts is the first of several texts, and how many more there are.
func someTexts(list []string) string {
	const most = 3
	if len(list) > most {
		return strings.Join(list[:most], "; ") + "; and " + count(len(list)-most, "more path")
	}
	return strings.Join(list, "; ")
}

// A changedObject is one that is not the same in both states, or in one of them alone.
type changedObject struct {
	unit, file, kind, id string
}

// changedObjects are those of a fleet. What has not changed is the same object in both.
func changedObjects(before, after *verify.Fleet) []changedObject {
	type key struct{ unit, file string }
	was := map[key]verify.Object{}
	for _, u := range before.Units {
		for _, o := range u.Objects {
			was[key{u.Name, o.File}] = o
		}
	}
	var list []changedObject
	add := func(unit string, o verify.Object) {
		list = append(list, changedObject{unit, o.File, o.GetObjectKind().GroupVersionKind().Kind, o.ID()})
	}
	for _, u := range after.Units {
		for _, o := range u.Objects {
			k := key{u.Name, o.File}
			if old, both := was[k]; !both || old.Object != o.Object {
				add(u.Name, o)
			}
			delete(was, k)
		}
	}
	for _, u := range before.Units {
		for _, o := range u.Objects {
			if _, gone := was[key{u.Name, o.File}]; gone {
				add(u.Name, o)
			}
		}
	}
	return list
}

// suspects are the changed objects of a fleet that a shift may come of.
type suspects struct {
	all    []changedObject
	byUnit map[string][]changedObject
}

func suspectsOf(changed []changedObject) suspects {
	s := suspects{changed, map[string][]changedObject{}}
	for _, o := range changed {
		s.byUnit[o.unit] = append(s.byUnit[o.unit], o)
	}
	return s
}

// blamed is the one that a shift comes of: the one whose rule lets it, or else what most likely does.
func (s suspects) blamed(shift verify.Shift) changedObject {
	var near []changedObject
	for _, unit := range shift.Units {
		near = append(near, s.byUnit[unit]...)
	}
	if len(near) == 0 {
		i := slices.IndexFunc(s.all, func(o changedObject) bool { return o.kind == "NetworkPolicy" || o.kind == "Namespace" })
		return s.all[max(i, 0)]
	}
	rank := func(o changedObject) int {
		switch {
		case slices.Contains(shift.Files, o.file):
			return 0
		case o.kind == "NetworkPolicy":
			return 1
		case podAt[o.kind] != "":
			return 2
		case o.kind == "Namespace":
			return 3
		}
		return 4
	}
	return slices.MinFunc(near, func(a, b changedObject) int { return cmp.Compare(rank(a), rank(b)) })
}
