// Command analysis simulates rollouts of many services and writes docs/analysis.md with its plots. Run it at the root of
// the repository with make analysis; make bench runs it too.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"time"
)

func main() {
	log.SetFlags(0)
	runs := flag.Int("runs", 100, "simulated rollouts a cell")
	dir := flag.String("dir", "docs", "where the page goes")
	flag.Parse()
	if err := write(context.Background(), *runs, *dir); err != nil { //nolint:forbidigo // a program of its own begins here
		log.Fatal("analysis: ", err)
	}
}

// write makes the page and its plots.
func write(ctx context.Context, runs int, dir string) error {
	s := study{ctx: ctx, runs: runs}
	began := time.Now()
	page, plots, err := s.page()
	if err != nil {
		return err
	}
	if err := os.WriteFile(dir+"/analysis.md", []byte(page), 0o644); err != nil {
		return err
	}
	for name, svg := range plots {
		if err := os.WriteFile(dir+"/"+name, []byte(svg), 0o644); err != nil {
			return err
		}
	}
	log.Printf("%d rollouts in %s", s.done, time.Since(began).Round(time.Second))
	return nil
}

// percent is a share in percent, as short as it says something.
func percent(p float64) string { return fmt.Sprintf("%.3g %%", math.Round(1e7*p)/1e5) }

// minutes are seconds as minutes.
func minutes(n int, s float64) string {
	switch {
	case n == 0:
		return "–"
	case s < 120:
		return fmt.Sprintf("%.0f s", s)
	}
	return fmt.Sprintf("%.1f min", s/60)
}
