package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/meshpol/meshpol/internal/golden"
	"github.com/meshpol/meshpol/internal/printer"
)

// alone runs meshpol without any cluster, environment or configuration.
func alone(t *testing.T, args ...string) (code int, out, err string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	s := streams{in: strings.NewReader(""), out: &stdout, err: &stderr, env: func(string) (string, bool) { return "", false }}
	code = run(t.Context(), args, s, make(chan os.Signal))
	return code, stdout.String(), stderr.String()
}

func TestHelp(t *testing.T) {
	for name, args := range map[string][]string{"meshpol": nil, "rollout": {"rollout"}, "status": {"status"}, "validate": {"validate"}, "simulate": {"simulate"}} {
		code, out, stderr := alone(t, append(args, "--help")...)
		if code != exitOK || stderr != "" {
			t.Errorf("%s: exit code %d, %s", name, code, stderr)
		}
		golden.Equal(t, "help/"+name+".golden", []byte(out))
	}
}

// TestEveryCommandIsDescribed: help leads with an example, says how the command ends, and completes its arguments.
func TestEveryCommandIsDescribed(t *testing.T) {
	a := &app{kube: genericclioptions.NewConfigFlags(true)}
	var check func(*cobra.Command)
	check = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			check(c)
		}
		if cmd.Name() == "help" || strings.Contains(cmd.CommandPath(), "completion") || cmd.Hidden {
			return
		}
		path := cmd.CommandPath()
		if cmd.Example == "" || !strings.Contains(cmd.Example, "meshpol") {
			t.Errorf("%s has no example", path)
		}
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short text %q", path, cmd.Short)
		}
		if !strings.Contains(cmd.Long, "Exit codes:") && cmd.Name() != "version" {
			t.Errorf("%s does not say how it ends", path)
		}
		if cmd.ValidArgsFunction == nil && cmd.Name() != "meshpol" {
			t.Errorf("%s would complete its arguments with files", path)
		}
		for line := range strings.Lines(cmd.Long) {
			if n := len([]rune(line)); n > 121 {
				t.Errorf("%s: a line of %d characters: %s", path, n, line)
			}
		}
	}
	check(newRootCmd(a))
}

func TestUnknownCommands(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"vlidate"}, "did you mean meshpol validate?"},
		{[]string{"rollout", "resum"}, "did you mean meshpol rollout resume?"},
		{[]string{"qqqqqqqqqq"}, "see meshpol --help"},
		{[]string{"status", "a", "b"}, "see meshpol status --help"},
		{[]string{"rollback"}, "see meshpol rollback --help"},
		{[]string{"plan", "--nonsense"}, "see meshpol plan --help"},
		{[]string{"status", "--watch"}, "meshpol status NAME --watch"},
		{[]string{"status", "--timeout", "1s"}, "it goes with --watch"},
		{[]string{"status", "a", "-w", "--timeout", "-1s"}, "cannot be negative"},
	} {
		code, out, stderr := alone(t, c.args...)
		if code != exitUsage || out != "" || !strings.HasPrefix(stderr, "error: ") || !strings.Contains(stderr, c.want) {
			t.Errorf("meshpol %s: exit code %d, want %q\nstdout: %s\nstderr: %s", strings.Join(c.args, " "), code, c.want, out, stderr)
		}
	}
}

func TestVersion(t *testing.T) {
	_, out, _ := alone(t, "version", "-o", "json")
	for _, field := range []string{`"version": "`, `"go": "go`, `"platform": "`} {
		if !strings.Contains(out, field) {
			t.Errorf("no %s in %s", field, out)
		}
	}
	info := &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}}}
	if got := buildOf(info, true); got.Version != "devel" || got.Revision != "0123456789abcdef" {
		t.Errorf("%+v", got)
	}
	if got := buildOf(nil, false); got.Version != "unknown" {
		t.Errorf("%+v", got)
	}
}

// closedPipe is a writer whose reader has gone.
type closedPipe struct{ writes int }

func (c *closedPipe) Write([]byte) (int, error) {
	c.writes++
	return 0, &os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}
}

// TestAnAnswerThatIsLostIsAnError, of whatever writes it: our printer, cobra's help, a shell's completion.
func TestAnAnswerThatIsLostIsAnError(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"explain"}, {"--help"}, {"rollout", "--help"}, {"completion", "bash"}} {
		var stderr strings.Builder
		s := streams{in: strings.NewReader(""), out: fullDisk{}, err: &stderr, env: func(string) (string, bool) { return "", false }}
		if code := run(t.Context(), args, s, make(chan os.Signal)); code != exitInternal || !strings.Contains(stderr.String(), "no space left") {
			t.Errorf("%v: exit code %d: %s", args, code, stderr.String())
		}
	}
}

// TestReaderThatGoesAway changes no exit code and says nothing.
func TestReaderThatGoesAway(t *testing.T) {
	w := newWorld(t)
	file := w.timeout("cart-timeout", "cart", "2s")
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"plan", "-f", file}, exitOK}, {[]string{"plan", "-f", file, "--exit-code"}, exitChanges}, {[]string{"--help"}, exitOK},
		{[]string{"validate", "-f", "nosuch.yaml", "--offline"}, exitInvalid}, {brief("rollout", "-f", file, "-o", "json"), exitOK},
	} {
		out, stderr := &closedPipe{}, &closedPipe{}
		s := streams{in: strings.NewReader(""), out: out, err: stderr, env: func(string) (string, bool) { return "", false }}
		if code := run(t.Context(), append(c.args, "--kubeconfig", w.kubeconfig), s, make(chan os.Signal)); code != c.want {
			t.Errorf("meshpol %s: exit code %d, want %d", strings.Join(c.args, " "), code, c.want)
		}
		if out.writes != 1 || stderr.writes > 1 {
			t.Errorf("meshpol %s: %d and %d writes to a closed end", strings.Join(c.args, " "), out.writes, stderr.writes)
		}
	}
}

// fullDisk is a writer on a disk that is full.
type fullDisk struct{ io.Writer }

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestColour(t *testing.T) {
	for _, c := range []struct {
		tty, off bool
		env      string
		want     bool
	}{{true, false, "", true}, {false, false, "", false}, {true, true, "", false}, {true, false, "1", false}} {
		a := &app{noColor: c.off, streams: streams{env: func(string) (string, bool) { return c.env, c.env != "" }}}
		if got := a.colour(c.tty); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	a := &app{output: "yaml"}
	if a.events() != printer.Text || a.format() != printer.YAML {
		t.Error("a document on standard output makes no document of the events")
	}
}

func TestExitCodesOfErrors(t *testing.T) {
	if exitCode(fmt.Errorf("a: %w", usage("b"))) != exitUsage || exitCode(errors.New("x")) != exitInternal {
		t.Error("the code of a wrapped error is lost")
	}
	for code, text := range exitMeanings() {
		if text == "" {
			t.Errorf("exit code %d has no meaning", code)
		}
	}
}
