// What Node makes of paths: one of each line of the input, in hex; for each a line with all that a handler may see, in hex.
import { createInterface } from "node:readline";
import { posix } from "node:path";

const hex = (text) => Buffer.from(text, "utf8").toString("hex");

for await (const line of createInterface({ input: process.stdin })) {
  const path = Buffer.from(line, "hex").toString("utf8");
  const seen = [];
  const add = (see) => {
    try {
      seen.push(hex(see()));
    } catch {
      // It refuses the path.
    }
  };
  add(() => new URL(path, "http://h").pathname);
  add(() => decodeURIComponent(new URL(path, "http://h").pathname));
  add(() => posix.normalize(decodeURIComponent(path)));
  add(() => posix.normalize(path));
  console.log(seen.join(" "));
}
