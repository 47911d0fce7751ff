package main

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows are the packages of this module that each may import directly. Whatever
// is not listed may not be, and nothing may import main.
var arrows = map[string][]string{
	"throng":                {"throng/chat", "throng/client", "throng/poller", "throng/room", "throng/server", "throng/static", "throng/terminal"},
	"throng/client":         {},
	"throng/terminal":       {"throng/client"},
	"throng/chat":           {"throng/room", "throng/server", "throng/frame"},
	"throng/server":         {"throng/poller", "throng/frame", "throng/static"},
	"throng/room":           {"throng/frame"},
	"throng/poller":         {},
	"throng/poller/sim":     {"throng/poller"},
	"throng/frame":          {},
	"throng/static":         {},
	"throng/examples/echo":  {"throng/poller", "throng/server"},
	"throng/static/browser": {},

	// The tests' own: it shares nothing with what it judges.
	"throng/server/conformance": {"throng/poller"},
}

// strangers are imports from elsewhere that a package may not have, even
// through others: what it knows nothing of.
var strangers = map[string][]string{
	"throng/frame": {"github.com/mailru/easygo/netpoll"},
	"throng/room":  {"github.com/mailru/easygo/netpoll", "net", "golang.org/x/sys/unix"},

	"throng/server/conformance": {"github.com/gobwas/ws", "throng/frame", "throng/server"},
}

// goPackage is what go list says of a package.
type goPackage struct {
	ImportPath    string
	Imports, Deps []string
}

func packages(t *testing.T) (list []goPackage) {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Deps", "./...").Output()
	must(t, err)
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); err == io.EOF {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		if p.ImportPath == "throng" || strings.HasPrefix(p.ImportPath, "throng/") {
			list = append(list, p)
		}
	}
}

func TestArrows(t *testing.T) {
	list := packages(t)
	if len(list) < 6 {
		t.Fatalf("go list has found %d packages only", len(list))
	}
	for _, p := range list {
		if isBench(p.ImportPath) {
			onlyBench(t, p)
			continue
		}
		allowed, known := arrows[p.ImportPath]
		if !known {
			t.Errorf("%s is new: say here what it may import", p.ImportPath)
		}
		for _, i := range p.Imports {
			if (i == "throng" || strings.HasPrefix(i, "throng/")) && !slices.Contains(allowed, i) {
				t.Errorf("%s imports %s", p.ImportPath, i)
			}
		}
		for _, i := range strangers[p.ImportPath] {
			if slices.Contains(p.Deps, i) {
				t.Errorf("%s depends on %s", p.ImportPath, i)
			}
		}
	}
}

// isBench tells the load tool's packages. They import each other and nothing else
// of this module, nor the codec that the server is built on: an error in it
// cannot hide in the tool that looks for it.
func isBench(path string) bool {
	return path == "throng/bench" || strings.HasPrefix(path, "throng/bench/")
}

func onlyBench(t *testing.T, p goPackage) {
	for _, i := range p.Deps {
		ours := i == "throng" || strings.HasPrefix(i, "throng/")
		if ours && !isBench(i) || strings.HasPrefix(i, "github.com/gobwas/") {
			t.Errorf("%s depends on %s", p.ImportPath, i)
		}
	}
}

// Nobody is called what says nothing, and nothing hides.
func TestPackageNames(t *testing.T) {
	for _, p := range packages(t) {
		for part := range strings.SplitSeq(p.ImportPath, "/") {
			if slices.Contains([]string{"util", "utils", "common", "types", "helpers", "manager", "internal", "pkg"}, part) {
				t.Errorf("%s has %s in its path", p.ImportPath, part)
			}
		}
	}
}
