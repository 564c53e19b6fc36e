package review

import (
	"bytes"
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/tenantry/tenantry/verify"
)

// weighs tells whether a change of an object can change what anything in the fleet reaches or may do, so that the
// whole fleet has to be evaluated.
func weighs(before, after *object, fields []Field) bool {
	o := cmp.Or(after, before)
	switch o.GroupKind().String() {
	case "NetworkPolicy.networking.k8s.io", "Role.rbac.authorization.k8s.io", "RoleBinding.rbac.authorization.k8s.io",
		"ClusterRole.rbac.authorization.k8s.io", "ClusterRoleBinding.rbac.authorization.k8s.io", "Namespace":
		return true
	}
	pods := podAt[o.Kind]
	if pods == "" && o.Group != "postgresql.cnpg.io" && o.Group != "cert-manager.io" && effects[o.GroupKind().String()] != nil {
		return false
	}
	if before == nil || after == nil || before.id() != after.id() {
		return o.Kind != "Job" || before == nil || after == nil
	}
	return slices.ContainsFunc(fields, func(f Field) bool {
		return strings.Contains(f.Path, "emplate.metadata.labels") && !strings.HasSuffix(f.Path, "["+versionLabel+"]") || strings.Contains(f.Path, "inheritedMetadata") ||
			strings.Contains(f.Path, ".ports") || strings.Contains(f.Path, "hostNetwork") || strings.Contains(f.Path, "serviceAccount") ||
			pods == "" && !strings.HasPrefix(f.Path, "spec.postgresql") && strings.Contains(f.Path, "emplate")
	})
}

// versionLabel changes with every image. No policy that render makes picks pods by it.
const versionLabel = "app.kubernetes.io/version"

// picksByVersion tells whether a policy of the fleet picks pods by their version all the same. Of files that do not
// change, those are read that are not named after another kind.
func (s States) picksByVersion(units []*unitPair) bool {
	others := map[string]bool{}
	for kind := range effects {
		kind, _, _ = strings.Cut(kind, ".")
		others[strings.ToLower(kind)] = kind != "NetworkPolicy"
	}
	picks := func(text []byte) bool {
		return bytes.Contains(text, []byte("NetworkPolicy")) && bytes.Contains(text, []byte(versionLabel))
	}
	found := make([]bool, len(units))
	each(len(units), func(i int) {
		p := units[i]
		found[i] = slices.ContainsFunc(p.files, func(f File) bool { return picks(f.Before) || picks(f.After) }) ||
			slices.ContainsFunc(p.same, func(file string) bool {
				if kind, _, _ := strings.Cut(file, "-"); others[kind] {
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
			o := blamed(changed, s)
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

// blamed is the changed object that a shift comes of: the one whose rule lets it, or else what most likely does.
func blamed(changed []changedObject, s verify.Shift) changedObject {
	rank := func(o changedObject) int {
		unit := slices.Index(s.Units, o.unit)
		switch {
		case unit >= 0 && slices.Contains(s.Files, o.file):
			return 0 + unit
		case unit >= 0 && o.kind == "NetworkPolicy":
			return 10 + unit
		case unit >= 0 && podAt[o.kind] != "":
			return 20 + unit
		case unit >= 0 && o.kind == "Namespace":
			return 30 + unit
		case unit >= 0:
			return 40 + unit
		case o.kind == "NetworkPolicy" || o.kind == "Namespace":
			return 50
		}
		return 60
	}
	return slices.MinFunc(changed, func(a, b changedObject) int { return cmp.Compare(rank(a), rank(b)) })
}
