package review

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/verify"
	"github.com/tenantry/tenantry/verify/schema"
)

// States are two states of golden/, or of a directory that is laid out like it. Paths are
// <fleet>/<unit>/<object>.yaml.
type States struct {
	Changed []File
	// Same are the paths of all files that are the same in both, and Read reads one of them.
	Same []string
	Read func(path string) ([]byte, error)
}

// A File is one that is not the same in both states. Before or After is nil where there is none.
type File struct {
	Path          string
	Before, After []byte
}

// Compare reports what changes between two states. The fleets are those of tenants/ now: they know what is meant to
// be reached, for both states, and which losses are acknowledged on the day of today. The error joins one
// [*verify.Mistake] for each file that cannot be read.
func Compare(s States, fleets []render.Fleet, today time.Time) (Report, error) {
	set, err := kinds()
	if err != nil {
		return Report{}, err
	}
	pairs, err := s.pairs()
	if err != nil {
		return Report{}, err
	}
	byFleet := map[string][]*unitPair{}
	for _, p := range pairs {
		byFleet[p.fleet] = append(byFleet[p.fleet], p)
	}
	var report Report
	var all []*single
	var mistakes []error
	for _, name := range slices.Sorted(maps.Keys(byFleet)) {
		units := byFleet[name]
		var declared *render.Fleet
		if i := slices.IndexFunc(fleets, func(f render.Fleet) bool { return f.Name == name }); i >= 0 {
			declared = &fleets[i]
		}
		f, changes, err := s.fleet(set, name, units, declared)
		mistakes = append(mistakes, err)
		if len(f.Added)+len(f.Removed)+len(f.Renamed)+len(f.Changed) > 0 {
			report.Fleets = append(report.Fleets, f)
		}
		all = append(all, changes...)
		report.acknowledge(name, declared, changes, today)
	}
	if err := errors.Join(mistakes...); err != nil {
		return Report{}, err
	}
	report.Changes = collapse(all)
	for _, c := range report.Changes {
		report.Verdict = max(report.Verdict, c.Verdict)
		for i := range report.Fleets {
			if f := &report.Fleets[i]; f.Name == c.Fleet {
				f.Verdict = max(f.Verdict, c.Verdict)
			}
		}
	}
	return report, nil
}

var kinds = sync.OnceValues(func() (*schema.Set, error) { return schema.For(schema.Newest()) })

// A unitPair is one unit in both states.
type unitPair struct {
	fleet, name string
	files       []File   // that changed
	same        []string // names of the others
	was, is     bool     // whether there is such a unit, before and after
}

// A single is the change of one object in one unit, in its own words.
type single struct {
	Change
	unit    string
	address string // of the object that an acknowledgement would name
	ruling
}

// pairs sorts the files by their units.
func (s States) pairs() ([]*unitPair, error) {
	index := map[string]*unitPair{}
	var mistakes []error
	at := func(name string) *unitPair {
		fleet, unit, _, err := place(name)
		if err != nil {
			mistakes = append(mistakes, &verify.Mistake{File: name, Line: 1, Problem: err.Error()})
			return nil
		}
		key := path.Join(fleet, unit)
		if index[key] == nil {
			index[key] = &unitPair{fleet: fleet, name: unit}
		}
		return index[key]
	}
	for _, f := range s.Changed {
		if p := at(f.Path); p != nil {
			p.files = append(p.files, f)
			p.was, p.is = p.was || f.Before != nil, p.is || f.After != nil
		}
	}
	for _, name := range s.Same {
		if p := at(name); p != nil {
			p.same = append(p.same, path.Base(name))
			p.was, p.is = true, true
		}
	}
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	pairs := make([]*unitPair, 0, len(index))
	for _, key := range slices.Sorted(maps.Keys(index)) {
		p := index[key]
		slices.SortFunc(p.files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
		slices.Sort(p.same)
		pairs = append(pairs, p)
	}
	return pairs, nil
}

// parse decodes the files of a unit that changed, in both states.
func (s States) parse(p *unitPair) (before, after *unit, err error) {
	var mistakes []error
	sides := [2]*unit{s.unit(p), s.unit(p)}
	for _, f := range p.files {
		for side, text := range [][]byte{f.Before, f.After} {
			if text == nil {
				continue
			}
			o, err := parse(f.Path, text)
			if err != nil {
				mistakes = append(mistakes, err)
				continue
			}
			o.unit = sides[side]
			if twin := o.unit.find(o.Kind, o.name); twin != nil && twin.Group == o.Group && twin.namespace == o.namespace {
				mistakes = append(mistakes, &verify.Mistake{File: f.Path, Line: 1, Problem: o.id() + " stands in " + twin.file + " as well: an object has one file"})
				continue
			}
			o.unit.changed = append(o.unit.changed, o)
		}
	}
	return sides[0], sides[1], errors.Join(mistakes...)
}

// unit is one state of a unit, of which nothing has been read yet.
func (s States) unit(p *unitPair) *unit {
	u := &unit{fleet: p.fleet, name: p.name, same: map[string]*object{}}
	u.read = func(file string) *object {
		if _, found := slices.BinarySearch(p.same, file); !found {
			return nil
		}
		name := path.Join(p.fleet, p.name, file)
		text, err := s.Read(name)
		if err != nil {
			return nil
		}
		o, err := parse(name, text)
		if err != nil {
			return nil
		}
		o.unit = u
		return o
	}
	return u
}

// each calls f for every index below n, on all processors.
func each(n int, f func(int)) {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wait.Wait()
}

// fleet compares one fleet. Trees of objects are as many at a time as units are compared at once.
func (s States) fleet(set *schema.Set, name string, units []*unitPair, declared *render.Fleet) (Fleet, []*single, error) {
	f := Fleet{Name: name}
	renamed := renamedUnits(units)
	for _, p := range units {
		if p.is {
			f.Of++
		}
		switch from := renamed[p]; {
		case from != nil && p.is:
			f.Renamed = append(f.Renamed, Rename{from.name, p.name})
		case from != nil: // told with the new name
		case !p.was:
			f.Added = append(f.Added, p.name)
		case !p.is:
			f.Removed = append(f.Removed, p.name)
		}
	}
	changes, stakes, mistakes := make([][]*single, len(units)), make([]stake, len(units)), make([]error, len(units))
	each(len(units), func(i int) {
		p := units[i]
		switch from := renamed[p]; {
		case from != nil && p.is:
			changes[i], mistakes[i] = s.renamedUnit(set, from, p)
			stakes[i].certain = true
		case from == nil:
			changes[i], stakes[i], mistakes[i] = s.compareUnit(set, p)
		}
	})
	if err := errors.Join(mistakes...); err != nil {
		return Fleet{}, nil, err
	}
	var all stake
	for i, p := range units {
		all.add(stakes[i])
		if p.was && p.is && len(changes[i]) > 0 {
			f.Changed = append(f.Changed, p.name)
		}
	}
	list := slices.Concat(changes...)
	facts := verify.Facts{}
	if declared != nil && len(list) > 0 {
		facts = verify.FactsOf(declared)
	}
	if s.matters(units, facts, all) {
		before, after, unread, err := s.load(name, units, facts)
		if err != nil {
			return Fleet{}, nil, err
		}
		var shifts []shift
		shifts, f.Before, f.After = evaluate(before, after)
		list = shifted(name, list, append(unread, shifts...))
	}
	return f, list, nil
}

// compareUnit compares the objects of one unit.
func (s States) compareUnit(set *schema.Set, p *unitPair) (changes []*single, all stake, err error) {
	before, after, err := s.parse(p)
	if err != nil {
		return nil, stake{}, err
	}
	for _, m := range matchObjects(before.changed, after.changed) {
		c := change(set, p, m.before, m.after)
		if c == nil {
			continue
		}
		all.add(weigh(m.before, m.after, c.Fields))
		changes = append(changes, c)
	}
	return changes, all, nil
}

// change is the change of one object; nil when there is none.
func change(set *schema.Set, p *unitPair, before, after *object) *single {
	o := cmp.Or(after, before)
	c := &single{unit: p.name, address: cmp.Or(before, after).address()}
	c.Change = Change{Fleet: p.fleet, Units: []string{p.name}, Object: o.id(), File: o.file}
	switch {
	case before == nil:
		c.Action = Added
	case after == nil:
		c.Action = Removed
	case before.id() != after.id() || before.namespace != after.namespace:
		c.Action, c.From = Renamed, before.id()
	default:
		c.Action = Changed
	}
	if p.was && p.is { // the objects of a whole unit are what its name says
		c.Fields = compareFields(set, before, after)
		c.Fields = append(c.Fields, writtenOtherwise(before, after, c.Fields)...)
	}
	if c.Action == Changed && len(c.Fields) == 0 {
		return nil
	}
	c.ruling = judge(before, after, c.Fields, !p.was || !p.is)
	c.Verdict, c.Reason = c.verdict, c.reason
	if !p.is && c.loss != "" {
		c.loss = ""
		c.Reason = "the data stays in the cluster until destroy, which asks for an acknowledgement, takes it"
	}
	return c
}

// A matched is one object in both states; nil where there is none.
type matched struct{ before, after *object }

// matchObjects finds which object is which: by kind and name, whatever the version of the API and the name of the
// file, and of those that are left by their content.
func matchObjects(before, after []*object) []matched {
	type key struct{ group, kind, namespace, name string }
	of := func(o *object) key { return key{o.Group, o.Kind, o.namespace, o.name} }
	index := map[key]*object{}
	for _, o := range before {
		index[of(o)] = o
	}
	var out []matched
	var added []*object
	for _, o := range after {
		if b := index[of(o)]; b != nil {
			out = append(out, matched{b, o})
			delete(index, of(o))
		} else {
			added = append(added, o)
		}
	}
	var removed []*object
	for _, o := range before {
		if index[of(o)] == o {
			removed = append(removed, o)
		}
	}
	renames := matchRenamed(removed, added)
	found := map[*object]bool{}
	for _, o := range added {
		out = append(out, matched{renames[o], o})
		found[renames[o]] = true
	}
	for _, o := range removed {
		if !found[o] {
			out = append(out, matched{o, nil})
		}
	}
	return out
}

// matchRenamed finds which of the objects that are new is which of those that are gone: one of the same family,
// such as migrate-2604c171 and migrate-47b0ab6f, or else the one that it shares most of its content with, if that
// is most of what it has.
func matchRenamed(removed, added []*object) map[*object]*object {
	type candidate struct {
		from, to *object
		alike    float64
	}
	var all []candidate
	content := map[*object][2]map[string]int{} // as it stands, and without the object's name
	of := func(o *object) [2]map[string]int {
		if _, known := content[o]; !known {
			content[o] = [2]map[string]int{leaves(o, ""), leaves(o, o.name)}
		}
		return content[o]
	}
	for _, to := range added {
		for _, from := range removed {
			if from.GroupKind() != to.GroupKind() || from.namespace != to.namespace {
				continue
			}
			stem, hashed := family(to.name)
			other, too := family(from.name)
			alike := 0.0
			switch {
			case hashed && too && stem == other:
				alike = 2
			case len(removed)*len(added) > 10_000: // it would take longer than it helps
			default:
				f, t := of(from), of(to)
				alike = max(likeness(f[0], t[0]), likeness(f[1], t[1]))
			}
			if alike >= 0.7 {
				all = append(all, candidate{from, to, alike})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.alike, a.alike), cmp.Compare(a.to.name, b.to.name), cmp.Compare(a.from.name, b.from.name))
	})
	renames, taken := map[*object]*object{}, map[*object]bool{}
	for _, c := range all {
		if renames[c.to] == nil && !taken[c.from] {
			renames[c.to], taken[c.from] = c.from, true
		}
	}
	return renames
}

// leaves are the values of an object with their paths; name reads {name} in them.
func leaves(o *object, name string) map[string]int {
	out := map[string]int{}
	var walk func(at string, value any)
	walk = func(at string, value any) {
		switch v := value.(type) {
		case map[string]any:
			for key, item := range v {
				walk(at+"."+key, item)
			}
		case []any:
			for _, item := range v {
				walk(at+"[]", item)
			}
		default:
			out[at+"="+replaceWord(flow(v), name, "{name}")]++
		}
	}
	for key, value := range o.tree {
		if key == "metadata" {
			value = withoutName(value)
		}
		walk(key, value)
	}
	return out
}

// likeness is the share of the leaves of either that both have, from 0 to 1.
func likeness(a, b map[string]int) float64 {
	common, all := 0, 0
	for leaf, n := range a {
		common += min(n, b[leaf])
		all += max(n, b[leaf])
	}
	for leaf, n := range b {
		if _, both := a[leaf]; !both {
			all += n
		}
	}
	if all == 0 {
		return 1
	}
	return float64(common) / float64(all)
}

// renamedUnits finds the units that are another's content under a new name. The map leads from the new one to the
// old one, and from the old one to the new one.
func renamedUnits(units []*unitPair) map[*unitPair]*unitPair {
	var added, removed []*unitPair
	for _, p := range units {
		switch {
		case !p.was:
			added = append(added, p)
		case !p.is:
			removed = append(removed, p)
		}
	}
	renamed := map[*unitPair]*unitPair{}
	if len(added) == 0 || len(removed) == 0 {
		return renamed
	}
	owners := map[string][]*unitPair{} // of a file, by its text with the unit's name left out
	for _, p := range removed {
		for _, f := range p.files {
			key := replaceWord(path.Base(f.Path)+"\n"+string(f.Before), p.name, "{tenant}")
			owners[key] = append(owners[key], p)
		}
	}
	type candidate struct {
		from, to *unitPair
		alike    int
	}
	var all []candidate
	for _, p := range added {
		alike := map[*unitPair]int{}
		for _, f := range p.files {
			key := replaceWord(path.Base(f.Path)+"\n"+string(f.After), p.name, "{tenant}")
			// What more than a few tenants have alike says nothing.
			for _, from := range owners[key] {
				alike[from]++
			}
		}
		for _, from := range removed {
			if n := alike[from]; 2*n >= max(len(p.files), len(from.files)) {
				all = append(all, candidate{from, p, n})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(b.alike, a.alike) })
	for _, c := range all {
		if renamed[c.to] == nil && renamed[c.from] == nil {
			renamed[c.to], renamed[c.from] = c.from, c.to
		}
	}
	return renamed
}

// renamedUnit tells of a unit under a new name, and of what is not the same in it but for the name.
func (s States) renamedUnit(set *schema.Set, from, to *unitPair) ([]*single, error) {
	before, _, err := s.parse(from)
	if err != nil {
		return nil, err
	}
	_, after, err := s.parse(to)
	if err != nil {
		return nil, err
	}
	unit := &single{unit: to.name}
	unit.Change = Change{
		Fleet: to.fleet, Units: []string{to.name}, Object: "Namespace/" + to.name, File: "namespace-" + to.name + ".yaml", Action: Renamed,
		From: "Namespace/" + from.name, Verdict: DataAtRisk,
		Reason: "to the cluster these are two tenants: " + to.name + " begins without data, and that of " + from.name + " stays until destroy takes it",
	}
	changes := []*single{unit}
	asTo := make([]*object, len(before.changed))
	for i, o := range before.changed {
		asTo[i] = o.renamed(from.name, to.name)
	}
	for _, m := range matchObjects(asTo, after.changed) {
		o := cmp.Or(m.after, m.before)
		c := &single{unit: to.name, address: o.address()}
		c.Change = Change{
			Fleet: to.fleet, Units: []string{to.name}, Object: o.id(), File: o.file, Action: Changed,
			Reason: "it is made anew with the unit: nothing runs under its new name yet",
		}
		switch {
		case m.before == nil:
			c.Action = Added
		case m.after == nil:
			c.Action = Removed
		default:
			if c.Fields = compareFields(set, m.before, m.after); len(c.Fields) == 0 {
				continue
			}
			if m.before.id() != o.id() {
				c.Action, c.From = Renamed, m.before.id()
			}
		}
		opens := ""
		if m.after != nil {
			opens = opened(cmp.Or(m.before, m.after), m.after, c.Fields)
		} else if gone := removed(m.before); gone.loss == render.Isolation {
			opens = gone.reason
		}
		if opens != "" {
			c.ruling = isolates(opens)
			c.Verdict, c.Reason = c.verdict, c.reason
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// renamed is the object as it would be in a unit of another name.
func (o *object) renamed(from, to string) *object {
	var walk func(any) any
	walk = func(value any) any {
		switch v := value.(type) {
		case string:
			return replaceWord(v, from, to)
		case map[string]any:
			out := make(map[string]any, len(v))
			for key, item := range v {
				out[replaceWord(key, from, to)] = walk(item)
			}
			return out
		case []any:
			out := make([]any, len(v))
			for i, item := range v {
				out[i] = walk(item)
			}
			return out
		}
		return value
	}
	n := *o
	n.name, n.namespace, n.file = replaceWord(o.name, from, to), replaceWord(o.namespace, from, to), replaceWord(o.file, from, to)
	n.tree, _ = walk(o.tree).(map[string]any)
	return &n
}

// shifted adds to changes what the evaluation of the fleet says of their objects.
func shifted(fleet string, changes []*single, shifts []shift) []*single {
	type key struct{ unit, object string }
	index := map[key]*single{}
	for _, c := range changes {
		index[key{c.unit, c.Object}] = c
	}
	for _, s := range shifts {
		c := index[key{s.unit, s.object}]
		if c == nil {
			c = &single{unit: s.unit, address: s.unit + "/" + s.object}
			c.Change = Change{Fleet: fleet, Units: []string{s.unit}, Object: s.object, Action: Changed}
			index[key{s.unit, s.object}] = c
			changes = append(changes, c)
		}
		if s.verdict > c.Verdict || c.Reason == "" {
			c.Verdict, c.Reason = s.verdict, s.reason
		}
		if s.loss == render.Isolation {
			c.opens = s.reason
		}
		if c.loss == "" && !c.refused {
			c.loss, c.refused = s.loss, s.refused
		}
	}
	return changes
}

// load reads a fleet as it is before and after, without what has not changed and lets nothing happen. What has not changed
// is read once.
func (s States) load(name string, units []*unitPair, facts verify.Facts) (before, after *verify.Fleet, unread []shift, err error) {
	before, after = &verify.Fleet{Name: name, Facts: facts}, &verify.Fleet{Name: name, Facts: facts}
	mistakes := make([]error, len(units))
	loaded, left := make([][2]verify.Unit, len(units)), make([][]shift, len(units))
	each(len(units), func(i int) {
		p := units[i]
		read := func(side int, file string, text []byte) {
			o, err := verify.Parse(path.Join(p.fleet, p.name, file), text)
			if err == nil {
				loaded[i][side].Objects = append(loaded[i][side].Objects, o)
				return
			}
			if u, e := parse(file, text); e == nil && !slices.Contains(p.same, file) {
				left[i] = append(left[i], shift{p.name, u.id(), isolates("what it lets happen cannot be evaluated: " + err.Error())})
				return
			}
			mistakes[i] = errors.Join(mistakes[i], err)
		}
		for _, file := range p.same {
			if kind, _, _ := strings.Cut(file, "-"); verify.Idle(kind) {
				continue
			}
			text, err := s.Read(path.Join(p.fleet, p.name, file))
			if err != nil {
				mistakes[i] = errors.Join(mistakes[i], fmt.Errorf("reading the objects: %w", err))
				return
			}
			read(0, file, text)
		}
		loaded[i][1].Objects = slices.Clone(loaded[i][0].Objects)
		for _, f := range p.files {
			if f.Before != nil {
				read(0, path.Base(f.Path), f.Before)
			}
			if f.After != nil {
				read(1, path.Base(f.Path), f.After)
			}
		}
		for side := range loaded[i] {
			loaded[i][side].Name = p.name
			slices.SortFunc(loaded[i][side].Objects, func(a, b verify.Object) int { return strings.Compare(a.File, b.File) })
		}
	})
	if err := errors.Join(mistakes...); err != nil {
		return nil, nil, nil, err
	}
	for _, sides := range loaded {
		for side, f := range []*verify.Fleet{before, after} {
			if len(sides[side].Objects) > 0 {
				f.Units = append(f.Units, sides[side])
			}
		}
	}
	return before, after, slices.Concat(left...), nil
}
