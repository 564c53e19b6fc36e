package runner

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"github.com/tenantry/tenantry/render"
)

// A plan is what Pulumi would do to one unit.
type plan struct {
	steps       []step
	diagnostics []string
	warnings    []string
	counts      map[string]int
	losses      []loss
}

// A step is one object that would be, or was, changed.
type step struct{ op, object string }

// A loss is an object with data that a plan would delete or replace.
type loss struct {
	object string
	urn    string
	kind   render.Loss
	held   bool   // Pulumi's own protection stops it
	fields string // that make it a replacement
}

// read takes in one event of Pulumi's engine.
func (p *plan) read(e apitype.EngineEvent) {
	switch {
	case e.ResourcePreEvent != nil:
		p.step(e.ResourcePreEvent.Metadata)
	case e.SummaryEvent != nil:
		p.counts = map[string]int{}
		for op, n := range e.SummaryEvent.ResourceChanges {
			p.counts[string(op)] += n
		}
	case e.DiagnosticEvent != nil && e.DiagnosticEvent.Severity == "warning":
		if object := objectName(e.DiagnosticEvent.URN); object != "" {
			if text := object + ": " + strings.TrimSpace(plainText(e.DiagnosticEvent.Message)); !slices.Contains(p.warnings, text) {
				p.warnings = append(p.warnings, text)
			}
		}
	case e.DiagnosticEvent != nil && e.DiagnosticEvent.Severity == "error":
		d := e.DiagnosticEvent
		message := strings.TrimSpace(plainText(d.Message))
		if d.URN != "" {
			message = objectName(d.URN) + ": " + message
		}
		switch {
		case strings.Contains(message, "is currently marked for protection"):
			p.lose(loss{object: objectName(d.URN), urn: d.URN, kind: render.Replaced, held: true})
		case strings.Contains(message, "because it is protected"):
			p.lose(loss{object: objectName(d.URN), urn: d.URN, kind: render.Deleted, held: true})
		case message == "preview failed" || message == "update failed": // the end of what the others tell
		case !slices.Contains(p.diagnostics, message):
			p.diagnostics = append(p.diagnostics, message)
		}
	}
}

func (p *plan) step(m apitype.StepEventMetadata) {
	object := objectName(m.URN)
	if object == "" || m.Op == apitype.OpSame || m.Op == apitype.OpRefresh {
		return
	}
	op := string(m.Op)
	if m.Op == apitype.OpReplace || m.Op == apitype.OpCreateReplacement || m.Op == apitype.OpDeleteReplaced { // parts of one replacement
		op = "replace"
	}
	if i := slices.IndexFunc(p.steps, func(s step) bool { return s.object == object }); i < 0 {
		p.steps = append(p.steps, step{op, object})
	}
	if m.Old == nil || !m.Old.Protect && !holdsData(m.Type) {
		return
	}
	switch {
	case op == string(apitype.OpDelete):
		p.lose(loss{object: object, urn: m.URN, kind: render.Deleted})
	case op == "replace":
		p.lose(loss{object: object, urn: m.URN, kind: render.Replaced, fields: strings.Join(m.Keys, ", ")})
	case m.New != nil:
		if path := render.Shrunk(m.Old.Inputs, m.New.Inputs); path != "" {
			p.diagnostics = append(p.diagnostics, fmt.Sprintf("%s: %s becomes smaller, and no volume can: keep the size, or move the data to a new object", object, path))
		}
	}
}

// failure is what an error of Pulumi comes down to.
func (p *plan) failure(err error) error {
	return diagnosis(err, append(slices.Clone(p.diagnostics), p.warnings...))
}

// lose notes a loss once: Pulumi tells of a replacement by several steps and an error.
func (p *plan) lose(l loss) {
	for i, known := range p.losses {
		if known.object == l.object {
			p.losses[i].held = known.held || l.held
			if known.fields == "" {
				p.losses[i].fields = l.fields
			}
			return
		}
	}
	p.losses = append(p.losses, l)
}

// refusal says why the plan may not be carried out: a loss that the fleet does not acknowledge.
func (p *plan) refusal(fleet render.Fleet, now time.Time) error {
	var lines []string
	for _, l := range p.losses {
		if fleet.Acknowledges(l.object, l.kind, now) {
			continue
		}
		what := strings.ToLower(string(l.kind))
		if l.fields != "" {
			what += " because " + l.fields + " cannot be changed in place"
		}
		lines = append(lines, fmt.Sprintf("%s would be %s, and its data would be lost", l.object, what), acknowledgement(l.object, l.kind, now))
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("nothing was changed:\n%s\nTake the change back, or have the loss reviewed: put that line into Acknowledged of the fleet %s in tenants/", strings.Join(lines, "\n"), fleet.Name)
}

// acknowledgement is the line that a fleet acknowledges a loss with.
func acknowledgement(object string, kind render.Loss, now time.Time) string {
	until := render.Date(now.UTC().AddDate(0, 0, 7).Format(time.DateOnly))
	return "  " + render.Acknowledgement{Object: object, Loss: kind, Why: "…", Until: until}.Line()
}

// objectName is the name of an object in a URN: acme/Deployment/api; "" for what is no object.
func objectName(urn string) string {
	kind, name, ok := splitURN(urn)
	if !ok || !strings.HasPrefix(kind, "kubernetes:") {
		return ""
	}
	return name
}

// splitURN is the type and the name of urn:pulumi:<stack>::<project>::<types>::<name>.
func splitURN(urn string) (kind, name string, ok bool) {
	parts := strings.SplitN(urn, "::", 4)
	if len(parts) != 4 {
		return "", "", false
	}
	return parts[2][strings.LastIndex(parts[2], "$")+1:], parts[3], true
}

// plainText is a message without Pulumi's colour marks, such as <{%reset%}>.
func plainText(message string) string {
	for {
		before, rest, found := strings.Cut(message, "<{%")
		if !found {
			return message
		}
		_, after, _ := strings.Cut(rest, "%}>")
		message = before + after
	}
}
