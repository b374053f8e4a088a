package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/meshpol/meshpol/internal/printer"
)

const envPrefix = "MESHPOL_"

// configure gives every flag that was not set on the command line its value from the environment (MESHPOL_STEP_MIN
// for --step-min) or from the configuration file, in this order, and checks what all commands share.
func (a *app) configure(cmd *cobra.Command) error {
	file, err := a.readConfig(cmd.Root())
	if err != nil {
		return err
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if err == nil && !f.Changed && !commandLineOnly(f.Name) {
			err = a.fill(f, file)
		}
	})
	if err != nil {
		return err
	}
	if _, err := printer.ParseFormat(a.output); err != nil {
		a.output = "" // the error itself is text
		return usage("%w", err)
	}
	return a.checkGlobals()
}

// commandLineOnly are flags that no configuration can set: one asks for help, one names the configuration.
func commandLineOnly(flag string) bool { return flag == "help" || flag == "config" }

// fill sets one flag. An empty variable is none.
func (a *app) fill(f *pflag.Flag, file *viper.Viper) error {
	variable := envPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
	if value, _ := a.env(variable); value != "" {
		if err := f.Value.Set(value); err != nil {
			return usage("setting --%s from %s: %w", f.Name, variable, badValue(f, value, err))
		}
		return nil
	}
	if err := setFrom(f, file.Get(f.Name)); err != nil {
		return usage("setting --%s from %s: %w", f.Name, file.ConfigFileUsed(), err)
	}
	return nil
}

// setFrom sets a flag to a value of a YAML document: a list where the flag takes several values.
func setFrom(f *pflag.Flag, value any) error {
	switch v := value.(type) {
	case nil:
		return nil
	case map[string]any:
		return errors.New("it is a map; write a plain value")
	case []any:
		list, ok := f.Value.(pflag.SliceValue)
		if !ok {
			return errors.New("it is a list; the flag takes one value")
		}
		texts := make([]string, len(v))
		for i, one := range v {
			texts[i] = fmt.Sprint(one)
		}
		if err := list.Replace(texts); err != nil {
			return badValue(f, strings.Join(texts, ","), err)
		}
		return nil
	default:
		if err := f.Value.Set(fmt.Sprint(v)); err != nil {
			return badValue(f, fmt.Sprint(v), err)
		}
		return nil
	}
}

// readConfig reads the configuration file; a missing one is an error only where it was named.
func (a *app) readConfig(root *cobra.Command) (*viper.Viper, error) {
	v := viper.New()
	named, _ := a.env(envPrefix + "CONFIG")
	if a.config != "" {
		named = a.config
	}
	path := named
	if path == "" && a.configDir != "" {
		path = filepath.Join(a.configDir, "meshpol", "config.yaml")
	}
	if path == "" {
		return v, nil
	}
	v.SetConfigFile(path)
	v.SetConfigType("yaml")
	switch err := v.ReadInConfig(); {
	case errors.Is(err, fs.ErrNotExist) && named == "":
		return viper.New(), nil
	case err != nil:
		return nil, usage("reading the configuration file %s: %w", path, err)
	}
	return v, knownKeys(v, root)
}

// knownKeys refuses a key that is no flag of any command: a misspelt one that is ignored does not do what its author
// thinks.
func knownKeys(v *viper.Viper, root *cobra.Command) error {
	known := flagNames(root)
	for _, key := range v.AllKeys() {
		name, _, _ := strings.Cut(key, ".")
		if !slices.Contains(known, name) || commandLineOnly(name) {
			return usage("reading the configuration file %s: unknown key %q; its keys are names of flags, such as prometheus or step-min", v.ConfigFileUsed(), key)
		}
	}
	return nil
}

// flagNames are the flags of a command and of all below it.
func flagNames(cmd *cobra.Command) []string {
	var out []string
	add := func(f *pflag.Flag) { out = append(out, f.Name) }
	cmd.Flags().VisitAll(add)
	cmd.PersistentFlags().VisitAll(add)
	for _, c := range cmd.Commands() {
		out = append(out, flagNames(c)...)
	}
	return out
}
