package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"throng/bench/liar"
	"throng/bench/report"
)

// exits waits for a program and checks how it ended.
func exits(t *testing.T, command *exec.Cmd, output fmt.Stringer, code int, wants ...string) {
	t.Helper()
	command.Wait()
	got := command.ProcessState.ExitCode()
	for _, want := range wants {
		if got != code || !strings.Contains(output.String(), want) {
			t.Errorf("%v: exit code %d, want %d and %q\n%s", command.Args[1:], got, code, want, output)
		}
	}
}

// Ctrl-C ends the run, and what was measured until then is shown.
func TestAnInterruptedRunIsSummarized(t *testing.T) {
	for _, test := range []struct {
		procs  string
		signal syscall.Signal
		code   int
	}{{"1", syscall.SIGINT, 130}, {"2", syscall.SIGINT, 130}, {"1", syscall.SIGTERM, 143}} {
		server := &liar.Server{}
		interrupt := make(chan struct{})
		server.Stall = func(n int) {
			if n == 50 {
				close(interrupt)
			}
		}
		url := server.Start()
		t.Cleanup(server.Stop)
		file := filepath.Join(t.TempDir(), "a.json")
		command, output := bench(t, "fanout", "--url", url, "-n", "10", "--duration", "1h", "--procs", test.procs, "--json", file)
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		<-interrupt
		command.Process.Signal(test.signal)
		exits(t, command, output, test.code, "CUT SHORT", "missing 0", "bench: interrupted")
		if r := readResult(t, file); r.CutShort != "interrupted" {
			t.Errorf("the report says %q", r.CutShort)
		}
	}
}

// readResult reads a JSON report.
func readResult(t *testing.T, file string) (r report.Result) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The floor has processes of its own, and ends with them.
func TestAnInterruptedFloorEnds(t *testing.T) {
	for want, args := range map[string][]string{
		"bench: interrupted":          {"floor", "-n", "50", "--duration", "1h"},
		"bench: --floor: interrupted": {"fanout", "--url", honest(t), "-n", "50", "--floor"},
	} {
		command, output := bench(t, args...)
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		tasks := fmt.Sprintf("/proc/%d/task/*/children", command.Process.Pid)
		for reader := ""; reader == ""; runtime.Gosched() { // the reader
			files, _ := filepath.Glob(tasks)
			if len(files) == 0 {
				t.Fatal("it ended by itself")
			}
			for _, file := range files {
				text, _ := os.ReadFile(file)
				reader += string(text)
			}
		}
		command.Process.Signal(syscall.SIGINT)
		exits(t, command, output, 130, want)
	}
}

// A server that ends in the middle of a run ends the run, and is asked why.
func TestASpawnedServerThatDiesEndsTheRun(t *testing.T) {
	for _, procs := range []string{"1", "2"} {
		address, err := freeAddress()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "a.json")
		command, output := bench(t, "fanout", "--url", "ws://"+address+"/chat", "-n", "10", "--duration", "1h", "--procs", procs, "--json", file,
			"--spawn", program(t, "dying")+" --listen "+address)
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		exits(t, command, output, exitFailed, "CUT SHORT", "FAILED       the server ended by itself: exit status 3\n", "panic: out of luck")
		if r := readResult(t, file); r.Server == nil || r.Server.CPUS < 0 || r.Server.RSSPerConn < -1e9 || r.Server.RSSEnd == 0 {
			t.Errorf("the figures of the server are %+v", r.Server)
		}
	}
}

// Reports of runs that are no good are no reference.
func TestCompareKnowsRunsThatAreNoGood(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, r report.Result) string {
		r.Schema, r.Scenario = report.Schema, "fanout"
		r.Delivery, r.Proof.Sent = report.Delivery{Seconds: 1, Rate: 100}, 1
		text, err := report.JSON(&r)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	good := write("good.json", report.Result{})
	cut := write("cut.json", report.Result{CutShort: "interrupted"})
	failed := write("failed.json", report.Result{Failures: []string{"1 deliveries missing"}})
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{good, good, "--fail-if", "rate<0.9"}, 0, "rate"},
		{[]string{good, good, "--fail-if", "rss>1.1"}, exitFailed, "FAILED in good.json rss was not measured: the server's process is not known"},
		{[]string{good, cut}, 0, "warning: cut.json is of a run that was cut short: interrupted"},
		{[]string{good, failed}, 0, "warning: failed.json is of a run that failed: 1 deliveries missing"},
		{[]string{cut, good, "--fail-if", "rate<0.9"}, exitFailed, "FAILED cut.json is of a run that was cut short"},
		{[]string{failed, good, "--fail-if", "rate<0.9"}, exitFailed, "FAILED failed.json is of a run that failed"},
	} {
		code, output := invoke(t, append([]string{"compare"}, test.args...)...)
		if code != test.code || !strings.Contains(output, test.want) {
			t.Errorf("%v: exit code %d, want %d and %q\n%s", test.args, code, test.code, test.want, output)
		}
	}
}
