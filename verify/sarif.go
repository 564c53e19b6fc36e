package verify

import (
	"io"
	"path"
)

// The parts of SARIF 2.1.0 that a report needs.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
	}
	sarifInvocation struct {
		Successful    bool                `json:"executionSuccessful"`
		Notifications []sarifNotification `json:"toolExecutionNotifications"`
	}
	sarifNotification struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name  string      `json:"name"`
		Rules []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID          string    `json:"id"`
		Description sarifText `json:"shortDescription"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID       string             `json:"ruleId"`
		RuleIndex    int                `json:"ruleIndex"`
		Level        string             `json:"level"`
		Message      sarifText          `json:"message"`
		Locations    []sarifLocation    `json:"locations"`
		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogical struct {
		Name string `json:"fullyQualifiedName"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Justification string `json:"justification"`
	}
)

// WriteSARIF writes the report in the Static Analysis Results Interchange Format 2.1.0. dir is the directory
// that holds the fleets, from the root of the repository. What is excepted is a suppressed result.
func (r Report) WriteSARIF(w io.Writer, dir string) error {
	run := sarifRun{Results: []sarifResult{}, Invocations: []sarifInvocation{{true, []sarifNotification{{"note", sarifText{r.Left()}}}}}}
	run.Tool.Driver.Name = "tenantry"
	index := map[string]int{}
	for i, rule := range Rules() {
		index[rule.ID] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{rule.ID, sarifText{rule.Protects}})
	}
	add := func(f Finding, suppressed ...sarifSuppression) {
		for _, unit := range append([]string{f.Unit}, f.Alike...) {
			run.Results = append(run.Results, sarifResult{
				RuleID: f.Rule, RuleIndex: index[f.Rule], Level: "error",
				Message: sarifText{f.Message + "\nRemedy: " + f.Remedy},
				Locations: []sarifLocation{{
					Physical: sarifPhysical{sarifArtifact{path.Join(dir, f.Fleet, unit, f.File)}, sarifRegion{max(1, f.Line)}},
					Logical:  []sarifLogical{{path.Join(f.Fleet, unit, f.Object)}},
				}},
				Suppressions: suppressed,
			})
		}
	}
	for _, f := range r.Findings {
		add(f)
	}
	for _, e := range r.Excepted {
		add(e.Finding, sarifSuppression{"external", e.Exception.Why + " (until " + string(e.Exception.Until) + ")"})
	}
	return writeJSON(w, sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}
