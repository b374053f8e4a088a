package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Find returns the running processes that carry the mark of the named lab, without the calling one.
func Find(lab string) []int {
	mark := []byte(Marker + "=" + lab + "\x00")
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var found []int
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil {
			continue // ended, or not ours to read
		}
		if bytes.Contains(append([]byte{0}, env...), append([]byte{0}, mark...)) {
			found = append(found, pid)
		}
	}
	return found
}

// KillAll kills what is left of the named lab and returns when nothing is.
func KillAll(lab string, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		left := Find(lab)
		if len(left) == 0 {
			return nil
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("killing what is left of lab %q: processes %v do not end", lab, left)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// RSS is the resident memory of a process and its descendants, in bytes.
func RSS(pid int) int64 {
	total := residentBytes(pid)
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, path := range tasks {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for _, field := range strings.Fields(string(data)) {
			if child, err := strconv.Atoi(field); err == nil {
				total += RSS(child)
			}
		}
	}
	return total
}

func residentBytes(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
