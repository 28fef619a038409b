// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// series is one line of a plot.
type series struct {
	name string
	y    []float64
}

// plot is a line chart whose points are one second apart.
type plot struct {
	title, unit string
	top         float64 // of the y axis, which begins at 0
	lines       []series
}

var colours = [...]string{"#0b6e99", "#d1495b", "#3b7a3b", "#e09f3e", "#6a4c93", "#666666"}

// svg draws the plot, small enough for a README.
func (p plot) svg() string {
	const width, height, left, bottom, up = 640, 240, 46, 30, 26
	n := 1
	for _, l := range p.lines {
		n = max(n, len(l.y)-1)
	}
	x := func(i int) float64 { return left + float64(i)/float64(n)*(width-left-26) }
	y := func(v float64) float64 { return height - bottom - min(v/p.top, 1)*(height-bottom-up) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/><text x="%d" y="16" font-size="13">%s</text>`+"\n", width, height, left, p.title)
	for i := range 5 {
		v := p.top * float64(i) / 4
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.4g%s</text>`+"\n", left, y(v), width-26, left-4, y(v)+4, v, p.unit)
	}
	for i := range 7 {
		at := (n + 1) * i / 6
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%d s</text>`+"\n", x(at), height-bottom+15, at)
	}
	for k, l := range p.lines {
		var d strings.Builder
		for i, v := range l.y {
			fmt.Fprintf(&d, "%c%.1f %.1f", "ML"[min(i, 1)], x(i), y(v))
		}
		colour := colours[k%len(colours)]
		fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.3"/>`+"\n", d.String(), colour)
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", left+8+k*118, height-3, colour, l.name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
