package target_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"throng/bench/target"
)

// asPinned makes the test binary pin itself to a core, and print which cores
// each of its threads may use.
const asPinned = "THRONG_BENCH_TEST_PIN"

func init() {
	core := 0
	if _, err := fmt.Sscan(os.Getenv(asPinned), &core); err != nil {
		return
	}
	if err := target.PinSelf(core); err != nil {
		fmt.Println(err)
	}
	files, _ := filepath.Glob("/proc/self/task/*/status")
	for _, file := range files {
		text, _ := os.ReadFile(file)
		fmt.Println(allowed(string(text)))
	}
	os.Exit(0)
}

// allowed finds the list of cores in a status of /proc.
func allowed(status string) string {
	for line := range strings.Lines(status) {
		if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			return strings.TrimSpace(list)
		}
	}
	return "unknown"
}

func TestEveryThreadIsPinned(t *testing.T) {
	cores, err := target.Cores()
	if err != nil || len(cores) == 0 {
		t.Fatal(cores, err)
	}
	last := cores[len(cores)-1]
	command := exec.Command("/proc/self/exe")
	command.Env = append(os.Environ(), fmt.Sprintf("%s=%d", asPinned, last))
	output, err := command.Output()
	lines := strings.Fields(string(output))
	if err != nil || len(lines) < 2 {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, line := range lines {
		if line != fmt.Sprint(last) {
			t.Errorf("a thread may use %s, want %d only", line, last)
		}
	}
}

func TestAProcessStaysOnItsCoreAndTheCallerDoesNot(t *testing.T) {
	before, err := target.Cores()
	if err != nil {
		t.Fatal(err)
	}
	for _, core := range before {
		var status []byte
		err := target.OnCore(core, func() (err error) {
			status, err = exec.Command("cat", "/proc/self/status").Output()
			return err
		})
		if err != nil || allowed(string(status)) != fmt.Sprint(core) {
			t.Errorf("the child may use %s, want %d only (%v)", allowed(string(status)), core, err)
		}
		if after, _ := target.Cores(); !slices.Equal(before, after) {
			t.Errorf("the caller may use %v, before it was %v", after, before)
		}
	}
	if err := target.OnCore(1000, func() error { t.Error("called on a core that does not exist"); return nil }); err == nil {
		t.Error("a core that does not exist is no error")
	}
}

func TestWaitingIsRead(t *testing.T) {
	if w := target.WaitedOf(os.Getpid()); w < 0 {
		t.Errorf("waited %s", w)
	}
	if w := target.WaitedOf(-1); w != 0 {
		t.Errorf("no process waited %s", w)
	}
}

// A process that is started in front of others stays there, and who started it
// does not.
func TestInFront(t *testing.T) {
	policy := func() (text string, err error) {
		out, err := exec.Command("cat", "/proc/self/stat").Output()
		if err != nil {
			return "", err
		}
		_, rest, _ := strings.Cut(string(out), ") ")
		return strings.Fields(rest)[41-3], nil // proc_pid_stat(5): 2 is SCHED_RR
	}
	var inside string
	allowed, err := target.InFront(func() (err error) {
		inside, err = policy()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := map[bool]string{true: "2", false: "0"}[allowed]; inside != want {
		t.Errorf("policy %s, allowed %v", inside, allowed)
	}
	if after, err := policy(); err != nil || after != "0" {
		t.Errorf("afterwards %s, %v", after, err)
	}
}
