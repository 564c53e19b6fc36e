package review

import (
	"fmt"
	"slices"
)

// verdicts are the words for them, in their order.
var verdicts = []string{
	"nothing restarts", "rolling restart", "brief interruption", "replaced", "exposure changed", "isolation changed", "data at risk",
}

// String is the verdict in words: "data at risk".
func (v Verdict) String() string {
	if v < 0 || int(v) >= len(verdicts) {
		return fmt.Sprintf("Verdict(%d)", int(v))
	}
	return verdicts[v]
}

// MarshalText is String.
func (v Verdict) MarshalText() ([]byte, error) {
	if v < 0 || int(v) >= len(verdicts) {
		return nil, fmt.Errorf("there is no verdict %d", int(v))
	}
	return []byte(v.String()), nil
}

// UnmarshalText reads what MarshalText writes.
func (v *Verdict) UnmarshalText(text []byte) error {
	i := slices.Index(verdicts, string(text))
	if i < 0 {
		return fmt.Errorf("%q is no verdict", text)
	}
	*v = Verdict(i)
	return nil
}
