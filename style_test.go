package main

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Limits on what has to be read at one time.
const (
	maxFunction = 70  // lines
	maxFile     = 500 // lines
)

// sources visits the files of the module that people write.
func sources(t *testing.T, visit func(path string, text []byte)) {
	t.Helper()
	written := []string{".go", ".md", ".js", ".css", ".html", ".sh", ""}
	must(t, filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && path != "." && (strings.HasPrefix(e.Name(), ".") && e.Name() != ".ci" || e.Name() == "testdata" || e.Name() == "bin"):
			return filepath.SkipDir
		case !e.Type().IsRegular() || !slices.Contains(written, filepath.Ext(path)):
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil && !bytes.HasPrefix(text, []byte("\x7fELF")) {
			visit(filepath.ToSlash(path), text)
		}
		return err
	}))
}

func TestNothingIsLeftToDo(t *testing.T) {
	marks := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
	files := 0
	sources(t, func(path string, text []byte) {
		files++
		if m := marks.Find(text); m != nil {
			t.Errorf("%s: %s", path, m)
		}
	})
	if files < 20 {
		t.Fatalf("%d files only", files)
	}
}

func TestGoFiles(t *testing.T) {
	set := token.NewFileSet()
	docs := map[string]string{} // the package's comment by directory
	sources(t, func(path string, text []byte) {
		if filepath.Ext(path) != ".go" {
			return
		}
		if n := bytes.Count(text, []byte("\n")); n > maxFile {
			t.Errorf("%s: %d lines", path, n)
		}
		if formatted, err := format.Source(text); err != nil || !bytes.Equal(formatted, text) {
			t.Errorf("%s is not as gofmt has it (%v)", path, err)
		}
		f, err := parser.ParseFile(set, path, text, parser.ParseComments)
		must(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			if f, ok := n.(*ast.FuncDecl); ok {
				lines := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1
				if lines > maxFunction {
					t.Errorf("%s: %s has %d lines", path, f.Name.Name, lines)
				}
			}
			return true
		})
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		dir := filepath.Dir(path)
		docs[dir] += f.Doc.Text()
		if begin := "Package " + f.Name.Name + " "; f.Doc != nil && f.Name.Name != "main" && !strings.HasPrefix(f.Doc.Text(), begin) {
			t.Errorf("%s: the comment of the package does not begin with %q", path, begin)
		}
		if f.Doc != nil && f.Name.Name == "main" && !strings.HasPrefix(f.Doc.Text(), "Command ") {
			t.Errorf("%s: the comment of the package does not begin with Command", path)
		}
	})
	for dir, doc := range docs {
		if doc == "" {
			t.Errorf("%s has no comment of the package", dir)
		}
	}
}
