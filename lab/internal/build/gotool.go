package build

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// tellEvery is how often a long build says that it goes on.
const tellEvery = 15 * time.Second

// goBuild runs `go build`, counting the packages that it compiles.
func (b *Builder) goBuild(ctx context.Context, module, output string, args ...string) error {
	tool, err := goTool()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, tool, append([]string{"build", "-v", "-ldflags=-s -w", "-o", output}, args...)...)
	cmd.Dir = module
	// Static, so that no C compiler is needed; its own go.mod, whatever workspace surrounds it.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the go command: %w", err)
	}
	said := b.follow(stderr)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

// follow reads the names of compiled packages, tells how many there were, and returns the last other lines.
func (b *Builder) follow(r io.Reader) string {
	start, told, packages := b.Now(), b.Now(), 0
	var other []string
	for lines := bufio.NewScanner(r); lines.Scan(); {
		line := lines.Text()
		if strings.ContainsAny(line, " \t#") {
			if !strings.HasPrefix(line, "go: downloading") {
				other = append(other, line)
			}
		} else {
			packages++
		}
		if now := b.Now(); now.Sub(told) >= tellEvery {
			told = now
			fmt.Fprintf(b.Progress, "  %d packages compiled, %s\n", packages, now.Sub(start).Round(time.Second))
		}
	}
	if len(other) > 3 {
		other = other[:3]
	}
	return strings.Join(other, "; ")
}

// moduleDir is where the go command keeps a module's files.
func (b *Builder) moduleDir(ctx context.Context, module, path string) (string, error) {
	tool, err := goTool()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, tool, "list", "-m", "-f", "{{.Dir}}", path)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("finding module %s: %w", path, err)
	}
	return string(bytes.TrimSpace(out)), nil
}
