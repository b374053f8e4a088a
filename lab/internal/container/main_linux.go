package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/meshpol/meshpol/lab/internal/netns"
)

// netnsFD is where the parent leaves the network namespace.
const netnsFD = 3

// CloneFlags are the namespaces that the parent must give to the process that calls Main.
const CloneFlags = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID

// Main reads the spec at path, sets the container up around the calling process and becomes its command.
// It returns only when that is impossible.
func Main(path string) error {
	runtime.LockOSThread()
	s, err := read(path)
	if err != nil {
		return err
	}
	if s.NetNS {
		if err := netns.Enter(netnsFD); err != nil {
			return err
		}
		unix.CloseOnExec(netnsFD)
	}
	if err := mountAll(s.Mounts); err != nil {
		return err
	}
	return become(s)
}

// become switches user and directory and replaces the process.
func become(s Spec) error {
	if err := os.Chdir(s.Dir); err != nil {
		return fmt.Errorf("entering the container's directory: %w", err)
	}
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("dropping groups: %w", err)
	}
	if err := syscall.Setgid(s.GID); err != nil {
		return fmt.Errorf("switching to group %d: %w", s.GID, err)
	}
	if err := syscall.Setuid(s.UID); err != nil {
		return fmt.Errorf("switching to user %d: %w", s.UID, err)
	}
	// Changing the user clears the signal that ends the container with the supervisor: set it again.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("binding to the supervisor: %w", err)
	}
	if err := syscall.Exec(s.Args[0], s.Args, s.Env); err != nil {
		return fmt.Errorf("starting %s: %w", s.Args[0], err)
	}
	return nil
}

func mountAll(mounts []Mount) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	sources, err := openSources(mounts)
	if err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mounting an empty /run: %w", err)
	}
	for i, m := range mounts {
		if err := bind(sources[i], m); err != nil {
			return err
		}
		sources[i].Close()
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	return nil
}

// openSources opens what is to be mounted before /run is covered, for it may lie there.
func openSources(mounts []Mount) ([]*os.File, error) {
	files := make([]*os.File, len(mounts))
	for i, m := range mounts {
		fd, err := unix.Open(m.Source, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("opening %s to mount it: %w", m.Source, err)
		}
		files[i] = os.NewFile(uintptr(fd), m.Source)
	}
	return files, nil
}

func bind(source *os.File, m Mount) error {
	if err := makeTarget(source, m.Target); err != nil {
		return err
	}
	from := fmt.Sprintf("/proc/self/fd/%d", source.Fd())
	err := unix.Mount(from, m.Target, "", unix.MS_BIND, "")
	if errors.Is(err, unix.ENOENT) {
		return nil // a link into the covered /run, such as /etc/resolv.conf: already out of sight
	}
	if err != nil {
		return fmt.Errorf("mounting %s at %s: %w", m.Source, m.Target, err)
	}
	if !m.ReadOnly {
		return nil
	}
	if err := unix.Mount("", m.Target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("making %s read-only: %w", m.Target, err)
	}
	return nil
}

// makeTarget creates the mount point if it lies in the container's own /run; others must exist on the machine.
func makeTarget(source *os.File, target string) error {
	if rel, err := filepath.Rel("/run", target); err != nil || !filepath.IsLocal(rel) {
		return nil
	}
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.MkdirAll(target, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return os.WriteFile(target, nil, 0o644)
}
