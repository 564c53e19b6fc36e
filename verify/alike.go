package verify

import "slices"

// alike makes one finding of those that are the same in several units: the first, which names the others.
func alike(findings []Finding) []Finding {
	type key struct{ rule, fleet, file, object, field, message string }
	first := map[key]int{}
	var kept []Finding
	for _, f := range findings {
		k := key{f.Rule, f.Fleet, f.File, f.Object, f.Field, f.Message}
		i, seen := first[k]
		switch {
		case !seen:
			first[k] = len(kept)
			kept = append(kept, f)
		case kept[i].Unit != f.Unit && !slices.Contains(kept[i].Alike[max(0, len(kept[i].Alike)-1):], f.Unit):
			kept[i].Alike = slices.Concat(kept[i].Alike, []string{f.Unit}, f.Alike)
		}
	}
	return kept
}
