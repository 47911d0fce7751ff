package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// names are the files of a directory.
func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		list = append(list, entry.Name())
	}
	return list
}

func TestAFailedRunLeavesReportsAlone(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "old.json")
	if err := os.WriteFile(old, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	code, output := invoke(t, "fanout", "--url", "ws://127.0.0.1:1/", "-n", "10", "--json", old, "--csv", filepath.Join(dir, "new.csv"))
	if code != exitError {
		t.Errorf("exit code %d\n%s", code, output)
	}
	if text, _ := os.ReadFile(old); string(text) != "old" || len(names(t, dir)) != 1 {
		t.Errorf("%q, and the directory has %q", text, names(t, dir))
	}
}

func TestKeep(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(file) // of what was there before, which must stay whole
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if err := keep(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	old := make([]byte, 10)
	n, _ := reader.Read(old)
	text, _ := os.ReadFile(file)
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 || string(text) != "new" || string(old[:n]) != "old" {
		t.Errorf("file %q, before %q, link %v, %v", text, old[:n], info, err)
	}
	if err := keep("/dev/null", []byte("new")); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat("/dev/null"); err != nil || info.Mode().IsRegular() {
		t.Errorf("/dev/null is %v, %v", info, err)
	}
	if list := names(t, dir); len(list) != 2 {
		t.Errorf("left behind: %q", list)
	}
}

func TestWritableFindsWhatIsNot(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	if err := writable("", good, "/dev/null"); err != nil || len(names(t, dir)) != 0 {
		t.Errorf("%v, and the directory has %q", err, names(t, dir))
	}
	for _, bad := range []string{dir, filepath.Join(dir, "no", "file"), "/proc/version"} {
		if err := writable(good, bad); err == nil || !strings.Contains(err.Error(), "a report cannot be written") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
