package review

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tenantry/tenantry/verify"
)

// A row is who reaches what, before and after: one sender, or the same pods of many tenants alike.
type row struct {
	tenants, pods []string
	namespace     string // of pods that are no tenant's
	addresses     string // instead of pods
	cells         []cell
}

// A cell is what a row reaches in one place.
type cell struct {
	where, what   string
	before, after []string // traffic, none where it does not reach
	because       []string
}

// sender is who the row is about, in words.
func (r row) sender() string {
	return verify.Sender{Tenants: r.tenants, Namespace: r.namespace, Pods: r.pods, Addresses: r.addresses}.String()
}

// changed tells whether the row reaches anything else than before.
func (r row) changed() bool {
	return slices.ContainsFunc(r.cells, cell.changed)
}

func (c cell) changed() bool { return !slices.Equal(c.before, c.after) }

// gone is the traffic that was, come what is new, and stays what is as before.
func (c cell) gone() []string  { return less(c.before, c.after) }
func (c cell) come() []string  { return less(c.after, c.before) }
func (c cell) stays() []string { return less(c.before, c.gone()) }

func less(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}

// place is what is reached, in words.
func (c cell) place() string { return verify.Reached{Where: c.where, What: c.what}.String() }

// reach is who reaches whom in the fleet, before and after, one row for all who reach the same.
func (f Fleet) reach() []row {
	type sender struct{ tenant, namespace, pod, addresses string }
	type target struct{ where, what string }
	all := map[sender]map[target]*cell{}
	var order []sender
	read := func(r *verify.Reachability, traffic func(*cell) *[]string) {
		if r == nil {
			return
		}
		for _, s := range r.Senders {
			for _, tenant := range orNone(s.Tenants) {
				for _, pod := range orNone(s.Pods) {
					from := sender{tenant, s.Namespace, pod, s.Addresses}
					if all[from] == nil {
						all[from] = map[target]*cell{}
						order = append(order, from)
					}
					for _, to := range s.Reaches {
						at := target{to.Where, to.What}
						c := all[from][at]
						if c == nil {
							c = &cell{where: to.Where, what: to.What}
							all[from][at] = c
						}
						t := traffic(c)
						*t = append(*t, f.traffic(to))
						for _, b := range to.Because {
							if !slices.Contains(c.because, b) {
								c.because = append(c.because, b)
							}
						}
					}
				}
			}
		}
	}
	read(f.Before, func(c *cell) *[]string { return &c.before })
	read(f.After, func(c *cell) *[]string { return &c.after })

	var rows []row
	for _, from := range order {
		r := row{tenants: none(from.tenant), namespace: from.namespace, pods: none(from.pod), addresses: from.addresses}
		for _, c := range all[from] {
			slices.Sort(c.before)
			slices.Sort(c.after)
			r.cells = append(r.cells, *c)
		}
		slices.SortFunc(r.cells, func(a, b cell) int { return cmp.Or(cmp.Compare(a.where, b.where), cmp.Compare(a.what, b.what)) })
		rows = append(rows, r)
	}
	alike := func(r row, names ...string) string {
		for _, c := range r.cells {
			names = append(names, c.where, c.what, strings.Join(c.before, "\x00"), strings.Join(c.after, "\x00"))
		}
		return fmt.Sprintf("%q", append(names, r.namespace, r.addresses))
	}
	rows = merged(rows, func(r row) string { return alike(r, append(none(fmt.Sprint(len(r.tenants))), r.pods...)...) },
		func(into *row, r row) { into.tenants = append(into.tenants, r.tenants...) })
	return merged(rows, func(r row) string { return alike(r, r.tenants...) },
		func(into *row, r row) { into.pods = append(into.pods, r.pods...) })
}

// merged are the rows, those of the same key in one.
func merged(rows []row, key func(row) string, add func(into *row, r row)) []row {
	var list []row
	at := map[string]int{}
	for _, r := range rows {
		k := key(r)
		i, known := at[k]
		if known {
			add(&list[i], r)
			continue
		}
		at[k] = len(list)
		list = append(list, r)
	}
	return list
}

// traffic is how something is reached, in words: what is reached of a tenant that is new or gone is not counted.
func (f Fleet) traffic(to verify.Reached) string {
	text := to.Traffic
	if len(to.Ranges) > 0 {
		text += " at " + strings.Join(to.Ranges, ", ")
	}
	stay := 0
	for _, t := range to.Tenants {
		if !f.moves(t) {
			stay++
		}
	}
	if stay > 0 {
		text += " of " + count(stay, "tenant")
	}
	return text
}

// moves tells whether a unit is new, gone or renamed.
func (f Fleet) moves(unit string) bool {
	return slices.Contains(f.Added, unit) || slices.Contains(f.Removed, unit) ||
		slices.ContainsFunc(f.Renamed, func(r Rename) bool { return r.From == unit || r.To == unit })
}

// orNone is the list, or one empty word.
func orNone(list []string) []string {
	if len(list) == 0 {
		return []string{""}
	}
	return list
}

// none is a list of one word, or of none.
func none(word string) []string {
	if word == "" {
		return nil
	}
	return []string{word}
}
