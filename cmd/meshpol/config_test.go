package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

// settings are one flag of each type, as configure leaves them.
type settings struct {
	Text   string
	List   []string
	Steps  []float64
	Number int32
	Yes    bool
	Wait   time.Duration
}

// configured parses a command line against an environment and a configuration file.
func configured(t *testing.T, args []string, env map[string]string, file string) (*settings, *app, error) {
	t.Helper()
	dir := t.TempDir()
	if file != "" {
		if err := os.Mkdir(filepath.Join(dir, "meshpol"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "meshpol", "config.yaml"), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &settings{}
	a := &app{kube: genericclioptions.NewConfigFlags(true), streams: streams{configDir: dir, env: func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}}}
	root := &cobra.Command{Use: "meshpol", SilenceErrors: true, SilenceUsage: true, PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.configure(cmd) }}
	a.globalFlags(root)
	cmd := &cobra.Command{Use: "x", RunE: func(*cobra.Command, []string) error { return nil }}
	f := cmd.Flags()
	f.StringVar(&s.Text, "text", "default", "")
	f.StringSliceVar(&s.List, "list", nil, "")
	f.Float64SliceVar(&s.Steps, "steps", nil, "")
	f.Int32Var(&s.Number, "a-number", 0, "")
	f.BoolVar(&s.Yes, "yes", false, "")
	f.DurationVar(&s.Wait, "wait", time.Second, "")
	root.AddCommand(cmd)
	root.SetArgs(append([]string{"x"}, args...))
	return s, a, root.ExecuteContext(t.Context())
}

func TestConfigure(t *testing.T) {
	file := "text: file\nlist: ['a,b', c]\nsteps: [1, 2.5]\na-number: 7\nyes: true\nwait: 2m\n"
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		file string
		want settings
	}{
		"defaults":                       {nil, nil, "", settings{Text: "default", Wait: time.Second}},
		"the file, every type":           {nil, nil, file, settings{"file", []string{"a,b", "c"}, []float64{1, 2.5}, 7, true, 2 * time.Minute}},
		"the environment, every type":    {nil, map[string]string{"MESHPOL_TEXT": "the CI runner", "MESHPOL_LIST": "a,b", "MESHPOL_STEPS": "1,5", "MESHPOL_A_NUMBER": "3", "MESHPOL_YES": "true", "MESHPOL_WAIT": "3s"}, "", settings{"the CI runner", []string{"a", "b"}, []float64{1, 5}, 3, true, 3 * time.Second}},
		"the environment beats the file": {nil, map[string]string{"MESHPOL_TEXT": "env", "MESHPOL_YES": "false", "MESHPOL_LIST": "d"}, file, settings{"env", []string{"d"}, []float64{1, 2.5}, 7, false, 2 * time.Minute}},
		"a flag beats both":              {[]string{"--text", "flag", "--list=x", "--yes=false"}, map[string]string{"MESHPOL_TEXT": "env"}, file, settings{"flag", []string{"x"}, []float64{1, 2.5}, 7, false, 2 * time.Minute}},
		"an empty variable is none":      {nil, map[string]string{"MESHPOL_TEXT": ""}, "text: file\nwait:\n", settings{Text: "file", Wait: time.Second}},
		"one value for a list":           {nil, nil, "list: a\nsteps: 5\n", settings{Text: "default", List: []string{"a"}, Steps: []float64{5}, Wait: time.Second}},
		"others' variables":              {nil, map[string]string{"TEXT": "x", "MESHPOL_LAB": "e2e", "MESHPOL_HELP": "true"}, "", settings{Text: "default", Wait: time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := configured(t, c.args, c.env, c.file)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestConfigureRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		file string
		want string
	}{
		"a misspelt key":      {nil, nil, "tetx: a\n", `unknown key "tetx"; its keys are names of flags`},
		"a nested key":        {nil, nil, "prometheus: {url: a}\n", "setting --prometheus from"},
		"an unknown group":    {nil, nil, "server2: {url: a}\n", `unknown key "server2.url"`},
		"config in itself":    {nil, nil, "config: other.yaml\n", `unknown key "config"`},
		"a list for one":      {nil, nil, "text: [a, b]\n", "it is a list; the flag takes one value"},
		"no number":           {nil, nil, "a-number: many\n", "setting --a-number from"},
		"no duration":         {nil, map[string]string{"MESHPOL_WAIT": "5"}, "", "setting --wait from MESHPOL_WAIT"},
		"no YAML":             {nil, nil, "a: [\n", "reading the configuration file"},
		"a named file away":   {nil, map[string]string{"MESHPOL_CONFIG": "/nosuch/file"}, "", "/nosuch/file"},
		"an unknown format":   {nil, map[string]string{"MESHPOL_OUTPUT": "xml"}, "", `output format "xml" is not known`},
		"no requests at all":  {[]string{"--qps", "0"}, nil, "", "must be above 0"},
		"half a header":       {[]string{"--prometheus-header", "Authorization"}, nil, "", "write NAME=VALUE"},
		"a header of secrets": {[]string{"--prometheus-header", "hunter2"}, nil, "", "write NAME=VALUE"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := configured(t, c.args, c.env, c.file)
			if exitCode(err) != exitUsage || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want one that says %q", err, c.want)
			}
		})
	}
}

func TestNamedConfigFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "my.yaml")
	if err := os.WriteFile(path, []byte("text: named\nquiet: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		env  map[string]string
	}{{[]string{"--config", path}, map[string]string{"MESHPOL_CONFIG": "/nosuch"}}, {nil, map[string]string{"MESHPOL_CONFIG": path}}} {
		s, a, err := configured(t, c.args, c.env, "text: other\n")
		if err != nil || s.Text != "named" || !a.quiet {
			t.Errorf("%v %v: %+v, %v", c.args, c.env, s, err)
		}
	}
}
