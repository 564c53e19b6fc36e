package path_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	repository  = "example/infra"
	server      = "https://git.example.com"
	hubVariable = "TENANTRY_PATH_HUB" // where the stand-in for gh finds the hub
)

// A hub stands in for GitHub: what is stored there, and the part of gh that workflows call. A token may do only what
// the permissions of its job say.
type hub struct {
	url          string
	bin          string // has gh
	path         string // PATH with Pulumi
	toolchain    map[string]string
	environments map[string]environment

	mu       sync.Mutex
	runs     int
	byID     map[int]*run
	pulls    []pull
	comments map[int][]comment // by pull request
	issues   []*issue
	calls    []string // of gh
}

type pull struct {
	number             int
	base, owner        string
	branch, sha, forks string // of the head: branch, commit and repository
}

type comment struct {
	id           int
	author, body string
}

type issue struct {
	label, title, body string
	closed             bool
	comments           []string
}

// A call is one of gh.
type call struct {
	Token string
	Args  []string
	Files map[string]string // contents, by name
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{byID: map[int]*run{}, comments: map[int][]comment{}, environments: map[string]environment{}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		var c call
		if err := json.NewDecoder(request.Body).Decode(&c); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.calls = append(h.calls, strings.Join(c.Args, " "))
		out, err := h.answer(c)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		_, _ = w.Write(out)
	}))
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

// gh is the command in the scripts: it sends what it was told to the hub.
func gh() int {
	c := call{Token: os.Getenv("GH_TOKEN"), Args: os.Args[1:], Files: map[string]string{}}
	for i, arg := range c.Args {
		name, found := strings.CutPrefix(arg, "body=@")
		if !found && i > 0 && c.Args[i-1] == "--body-file" {
			name, found = arg, true
		}
		if !found {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			fmt.Fprintln(os.Stderr, "gh:", err)
			return 1
		}
		c.Files[name] = string(data)
	}
	if slices.Contains([]string{"issue", "label"}, c.Args[0]) && os.Getenv("GH_REPO") != repository {
		fmt.Fprintln(os.Stderr, "gh: which repository?")
		return 1
	}
	text, err := json.Marshal(c)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gh:", err)
		return 1
	}
	response, err := http.Post(os.Getenv(hubVariable), "application/json", bytes.NewReader(text))
	if err != nil {
		fmt.Fprintln(os.Stderr, "gh:", err)
		return 1
	}
	defer func() { _ = response.Body.Close() }()
	to, code := io.Writer(os.Stdout), 0
	if response.StatusCode != http.StatusOK {
		to, code = os.Stderr, 1
	}
	if _, err := io.Copy(to, response.Body); err != nil {
		return 1
	}
	return code
}

// answer does what one call of gh asks for.
func (h *hub) answer(c call) ([]byte, error) {
	may := func(permission, least string) error {
		var granted map[string]string
		text, ok := strings.CutPrefix(c.Token, "token ")
		if !ok || json.Unmarshal([]byte(text), &granted) != nil {
			return errors.New("no token")
		}
		if has := granted[permission]; has != least && has != "write" {
			return fmt.Errorf("the token has no permission %s: %s", permission, least)
		}
		return nil
	}
	flag := func(name string) string {
		if i := slices.Index(c.Args, name); i >= 0 {
			return c.Args[i+1]
		}
		return ""
	}
	if c.Args[0] == "api" {
		return h.api(c, may, flag("--method"))
	}
	if err := may("issues", "write"); err != nil {
		return nil, err
	}
	switch strings.Join(c.Args[:2], " ") {
	case "label create":
		return nil, nil
	case "issue list":
		type row struct {
			Number int `json:"number"`
		}
		rows := []row{}
		for i, issue := range h.issues {
			if issue.label == flag("--label") && !issue.closed {
				rows = append(rows, row{i + 1})
			}
		}
		return marshal(rows, nil)
	case "issue create":
		h.issues = append(h.issues, &issue{label: flag("--label"), title: flag("--title"), body: c.Files[flag("--body-file")]})
		return nil, nil
	case "issue edit", "issue close":
		number, err := strconv.Atoi(c.Args[2])
		if err != nil || number < 1 || number > len(h.issues) {
			return nil, fmt.Errorf("no issue %q", c.Args[2])
		}
		if c.Args[1] == "edit" {
			h.issues[number-1].body = c.Files[flag("--body-file")]
		} else {
			h.issues[number-1].closed = true
			h.issues[number-1].comments = append(h.issues[number-1].comments, flag("--comment"))
		}
		return nil, nil
	}
	return nil, fmt.Errorf("nothing plays gh %s", strings.Join(c.Args, " "))
}

// api does what gh api does.
func (h *hub) api(c call, may func(permission, least string) error, method string) ([]byte, error) {
	values := url.Values{}
	path := ""
	for i := 1; i < len(c.Args); i++ {
		switch c.Args[i] {
		case "--method":
			i++
		case "--paginate":
		case "-f", "-F":
			name, value, _ := strings.Cut(c.Args[i+1], "=")
			if file, found := strings.CutPrefix(value, "@"); found && c.Args[i] == "-F" {
				value = c.Files[file]
			}
			values.Set(name, value)
			i++
		default:
			path = strings.TrimPrefix(c.Args[i], "repos/"+repository+"/")
		}
	}
	parts := strings.Split(path, "/")
	number := func(i int) int {
		n, err := strconv.Atoi(parts[i])
		if err != nil {
			return -1
		}
		return n
	}
	switch {
	case method == "GET" && path == "pulls":
		list := []any{}
		for _, p := range h.pulls {
			if values.Get("state") == "open" && values.Get("base") == p.base && values.Get("head") == p.owner+":"+p.branch {
				list = append(list, map[string]any{"number": p.number, "head": map[string]any{"sha": p.sha, "repo": map[string]any{"full_name": p.forks}}})
			}
		}
		return marshal(list, may("pull-requests", "read"))
	case method == "GET" && len(parts) == 4 && parts[1] == "runs" && parts[3] == "artifacts":
		list := []any{}
		if r := h.byID[number(2)]; r != nil && r.artifacts[values.Get("name")] != nil {
			data, err := zipped(r.artifacts[values.Get("name")])
			if err != nil {
				return nil, err
			}
			list = append(list, map[string]any{"id": r.id, "name": values.Get("name"), "size_in_bytes": len(data)})
		}
		return marshal(map[string]any{"artifacts": list}, may("actions", "read"))
	case method == "" && len(parts) == 4 && parts[1] == "artifacts" && parts[3] == "zip":
		r := h.byID[number(2)]
		if r == nil {
			return nil, errors.New("no such artifact")
		}
		if err := may("actions", "read"); err != nil {
			return nil, err
		}
		return zipped(r.artifacts["comment"])
	case method == "" && len(parts) == 3 && parts[0] == "issues" && parts[2] == "comments":
		list := []any{}
		for _, c := range h.comments[number(1)] {
			list = append(list, map[string]any{"id": c.id, "body": c.body, "user": map[string]any{"login": c.author}})
		}
		return marshal(list, may("pull-requests", "read"))
	case method == "POST" && len(parts) == 3 && parts[0] == "issues" && parts[2] == "comments":
		if err := may("pull-requests", "write"); err != nil {
			return nil, err
		}
		h.comments[number(1)] = append(h.comments[number(1)], comment{100 + len(h.calls), "github-actions[bot]", values.Get("body")})
		return nil, nil
	case method == "PATCH" && len(parts) == 3 && parts[0] == "issues" && parts[1] == "comments":
		if err := may("pull-requests", "write"); err != nil {
			return nil, err
		}
		for _, list := range h.comments {
			for i := range list {
				if list[i].id == number(2) {
					list[i].body = values.Get("body")
					return nil, nil
				}
			}
		}
		return nil, errors.New("no such comment")
	}
	return nil, fmt.Errorf("nothing plays gh api %s %s", method, path)
}

func marshal(value any, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

func zipped(files map[string][]byte) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for name, data := range files {
		f, err := w.Create(name)
		if err != nil {
			return nil, err
		}
		if _, err := f.Write(data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}
