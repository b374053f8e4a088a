package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/meshpol/meshpol/internal/printer"
)

// configure gives every flag that was not set on the command line its value from the environment (MESHPOL_STEP_MIN
// for --step-min) or from the configuration file, in this order, and checks what all commands share.
func (a *app) configure(cmd *cobra.Command) error {
	v := viper.New()
	v.SetEnvPrefix("meshpol")
	v.SetEnvKeyReplacer(strings.NewReplacer("-", "_"))
	v.AutomaticEnv()
	if err := a.readConfig(v); err != nil {
		return err
	}
	var bad error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "config" || !v.IsSet(f.Name) || bad != nil {
			return
		}
		if err := f.Value.Set(strings.Join(v.GetStringSlice(f.Name), ",")); err != nil {
			bad = usage("setting --%s from the environment or the configuration file: %v", f.Name, err)
		}
	})
	if bad != nil {
		return bad
	}
	if _, err := printer.ParseFormat(a.output); err != nil {
		return usage("%v", err)
	}
	return nil
}

// readConfig reads the configuration file; a missing one is an error only where it was named.
func (a *app) readConfig(v *viper.Viper) error {
	path := a.config
	if path == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return nil
		}
		path = filepath.Join(dir, "meshpol", "config.yaml")
	}
	v.SetConfigFile(path)
	v.SetConfigType("yaml")
	err := v.ReadInConfig()
	if err != nil && errors.Is(err, fs.ErrNotExist) && a.config == "" {
		return nil
	}
	if err != nil {
		return usage("reading the configuration file %s: %v", path, fmt.Errorf("%w", err))
	}
	return nil
}
