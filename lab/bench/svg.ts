/** Line charts, for a page: figures over the number of nodes, both axes logarithmic. */

export interface Line {
  readonly label: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Chart {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly lines: readonly Line[];
}

const width = 720;
const height = 420;
const plot = { left: 64, right: 545, top: 44, bottom: 368 };
/** Told apart by people who don't see all colours, too (Okabe and Ito). */
const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999"];

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
const place = (value: number): string => value.toFixed(1);

/** Maps a range of values, by their logarithm, to a range of places. */
function scale(values: readonly number[], from: number, to: number): (value: number) => number {
  const [least, most] = [Math.log(Math.min(...values)), Math.log(Math.max(...values))];
  return (value) =>
    most === least ? from : from + ((Math.log(value) - least) / (most - least)) * (to - from);
}

/** Round values that a range of them is read by: 1, 2, 5, 10, 20 and so on, from below its least to above its most. */
export function ticks(least: number, most: number): number[] {
  const rounds = Array.from({ length: 16 }, (_, index) => index - 6).flatMap((power) =>
    [1, 2, 5].map((digit) => Number(`${digit}e${power}`)),
  );
  const below = rounds.filter((value) => value <= least).length - 1;
  const above = rounds.findIndex((value) => value >= most);
  return rounds.slice(below, above + 1);
}

function text(x: number, y: number, content: string, more = ""): string {
  return `<text x="${place(x)}" y="${place(y)}"${more}>${escape(content)}</text>`;
}

/** Moves labels apart that would lie on each other; gives each one's place, in their order. */
export function spread(places: readonly number[], distance: number): number[] {
  const order = places.map((_, index) => index).sort((a, b) => places[a]! - places[b]!);
  const result = [...places];
  for (let index = 1; index < order.length; index++) {
    const [above, here] = [order[index - 1]!, order[index]!];
    result[here] = Math.max(result[here]!, result[above]! + distance);
  }
  return result;
}

/** A chart as an SVG file. */
export function chart({ title, x, y, lines }: Chart): string {
  const xs = [...new Set(lines.flatMap(({ points }) => points.map(([value]) => value)))].sort(
    (a, b) => a - b,
  );
  const ys = lines.flatMap(({ points }) => points.map(([, value]) => value));
  const marks = ticks(Math.min(...ys), Math.max(...ys));
  const toX = scale(xs, plot.left, plot.right);
  const toY = scale(marks, plot.bottom, plot.top);
  const ends = spread(
    lines.map(({ points }) => toY(points.at(-1)![1])),
    15,
  );
  const parts = [
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text(plot.left, 24, title, ' font-size="15" font-weight="bold"'),
    ...marks.flatMap((mark) => [
      `<path d="M${plot.left} ${place(toY(mark))}H${plot.right}" stroke="#dddddd"/>`,
      text(plot.left - 8, toY(mark) + 4, String(mark), ' text-anchor="end"'),
    ]),
    ...xs.map((value) => text(toX(value), plot.bottom + 20, String(value), ' text-anchor="middle"')),
    text((plot.left + plot.right) / 2, plot.bottom + 42, x, ' text-anchor="middle"'),
    text(-(plot.top + plot.bottom) / 2, 16, y, ' text-anchor="middle" transform="rotate(-90)"'),
    ...lines.flatMap(({ label, points }, index) => {
      const colour = colours[index % colours.length]!;
      const places = points.map(([px, py]) => `${place(toX(px))},${place(toY(py))}`);
      return [
        `<polyline points="${places.join(" ")}" fill="none" stroke="${colour}" stroke-width="2"/>`,
        ...points.map(
          ([px, py]) => `<circle cx="${place(toX(px))}" cy="${place(toY(py))}" r="3" fill="${colour}"/>`,
        ),
        text(plot.right + 12, ends[index]! + 4, label, ` fill="${colour}"`),
      ];
    }),
  ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    ...parts.map((part) => `  ${part}`),
    "</svg>",
    "",
  ].join("\n");
}
