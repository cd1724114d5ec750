#!/bin/bash
# The page of `m3bsr conformance --report`: well-formed, without anything from elsewhere, with the cells that belong there,
# and held to the statement that it carries. With chromium on the machine it is also looked at.
# Labels: release
source "$(dirname "$0")/../support/script.sh"
command -v python3 >/dev/null || { echo 'skipped: there is no python3 to read a page with'; exit 77; }
[ -e "$FAULTY_DIR/m3bsr_backend_faulty.so" ] || { echo 'skipped: there is no backend cpu to report on'; exit 77; }
m=$M3BSR
cd "$folder" || exit 1
export OCL_ICD_VENDORS=$folder/none VK_DRIVER_FILES=$folder/none VK_ICD_FILENAMES=$folder/none # quick

cat >reader <<'PYTHON'
import html.parser, json, re, sys
VOID = {"meta", "br", "img", "link", "input", "hr"}
class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.cells, self.row, self.wrong, self.text, self.statement = [], {}, None, [], "", None
        self.layer, self.columns = None, []
    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag not in VOID: self.open.append(tag)
        for name in ("src", "href", "srcset", "data", "action", "background", "poster"):
            if name in given: self.wrong.append(f"{tag} {name}={given[name]}")
        if any(name.startswith("on") for name in given): self.wrong.append(f"{tag} has a program")
        if tag in ("link", "iframe", "object", "embed", "img"): self.wrong.append(tag)
        if tag == "script" and given.get("type") != "application/json": self.wrong.append("a program")
        if tag in ("td", "th"): self.row.append({"look": given.get("class", ""), "title": given.get("title", ""), "text": ""})
        if tag == "tr": self.row = []
        if tag == "h3": self.layer, self.columns = "", []
    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag: self.wrong.append(f"</{tag}> at {self.getpos()}")
        if tag == "tr" and self.layer:
            texts = [cell["text"] for cell in self.row]
            if not self.columns: self.columns = texts
            else:
                for column, cell in zip(self.columns[1:], self.row[1:]): self.cells[self.layer, texts[0].strip(), column] = cell
    def handle_data(self, data):
        if not self.open: return
        if self.open[-1] == "script": self.statement = json.loads(data)
        elif self.open[-1] == "style" and re.search(r"url\(|@import|//", data): self.wrong.append("the style is from elsewhere")
        else: self.text += data
        if self.open[-1] == "h3": self.layer += data.replace("Layer ", "")
        if self.row and ("td" in self.open or "th" in self.open): self.row[-1]["text"] += data
page = Page()
source = open(sys.argv[1], encoding="utf-8").read()
page.feed(source)
page.close()
d, cell, text, look = page.statement, page.cells, page.text, lambda *place: page.cells[place]["look"]
sane = not page.open and not page.wrong and source.startswith("<!DOCTYPE html>") and "http" not in source.lower() and d
if not sane: print(page.open, page.wrong)
sys.exit(not (sane and eval(sys.argv[2])))
PYTHON
holds() { # NAME PYTHON: of page.html
    said=$(python3 reader page.html "$2" 2>&1) || fail "$1: not so: $2: $said"
}

check 'cases that pass' 0 'pass    ops' "$m" conformance --backend cpu --layer ops --layer modules --cases '*exp*' \
    --report page.html --report page.json
holds 'it is sane and carries its statement' 'd["statement"] == "m3bsr conformance" and d["results"]["ops"]'
python3 reader page.html 'd == json.load(open("page.json", encoding="utf-8"))' || fail 'the page and the JSON file differ'
holds 'it has a cell for an op, a type and a rule' 'float(cell["ops", "exp f32", "rank"]["text"].replace("<", "")) <= 1 and "cases; the worst: exp(" in cell["ops", "exp f32", "rank"]["title"]'
holds 'small errors have a colour' 'look("ops", "exp f32", "size") == "h1" and look("ops", "expm1 f32", "size") == "h1"'
holds 'modules have cells' '("modules", "expert pool", "padding") in cell'
holds 'it says what it is about' 'all(word in text for word in ("Partial", "cpu:0", "only cases that match", d["list"]["hash"], d["digest"], d["date"], d["device"]["driver"]))'
check 'a page is verified' 1 'layer gradients was not run' "$m" conformance verify page.html

# A page that was changed, in what it shows or in what it carries.
changed() { # NAME SED STATUS PATTERN
    sed "$2" page.html >changed.html
    cmp -s page.html changed.html && fail "$1: nothing was changed"
    check "$1" "$3" "$4" "$m" conformance verify changed.html
}
changed 'another verdict is shown' 's/◐ Partial/✓ Conformant/' 1 'the page was altered: it does not show what its statement says'
changed 'another number is carried' 's/"seed":1,/"seed":2,/' 1 'it was altered: its digest is'
changed 'a page without its statement' 's/id="statement"/id="other"/' 2 'the page holds no statement'
head -c "$(($(wc -c <page.html) - 2000))" page.html >changed.html
check 'a page that was cut' 2 'the page ends inside of its statement: it was cut' "$m" conformance verify changed.html

# What fails and what lacks is shown, as text and not by colour alone; and nothing in it becomes a part of the page.
check 'a failure' 1 'FAIL' env M3BSR_FAULT=exp_scale "$m" conformance --plugin-path "$FAULTY_DIR" --backend faulty --threads 1 --layer ops \
    --cases 'exp*f32[7]*' --report page.html
holds 'it is listed with its command' '"Not conformant" in text and "wanted" in text and "--cases \x27exp(f32[7])\x27" in text'
check 'a refusal' 1 'lacks' "$m" conformance --backend reference --device-option refuse=exp --layer ops --cases 'exp*f32*' --report page.html
holds 'the cell says so' 'cell["ops", "exp f32", "rank"]["text"].startswith("lacks ") and look("ops", "exp f32", "rank") == "hl"'
holds 'and why' '"Lacking" in text and "refused these" in text and d["lacks"][0]["why"] in text'
cp "$SOURCE_DIR/tests/vectors/pool.safetensors" '<b>&"x.safetensors'
check 'a name with marks' 0 pass "$m" conformance --backend cpu --layer model --vectors '<b>&"x.safetensors' --report page.html --report page.xml
holds 'marks are text' '"<b>&\"x.safetensors" in text and d["results"]["model"][0][0] == "<b>&\"x.safetensors"'
python3 -c 'import xml.etree.ElementTree as t; assert t.parse("page.xml").getroot()[0][1].get("name") == "<b>&\"x.safetensors"' ||
    fail 'JUnit has another name'

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
[ -n "$browser" ] || echo 'the look in a browser is skipped: there is no chromium'
for width in ${browser:+1280 400}; do
    for dark in 0 1; do # 0 is dark
        HOME=$folder timeout 120 "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --enable-logging=stderr \
            --blink-settings=preferredColorScheme=$dark --window-size=$width,900 --screenshot="$folder/$width-$dark.png" \
            "file://$folder/page.html" >said 2>&1 || fail "chromium: $(tail -3 said)"
        grep -i 'CONSOLE' said && fail "the browser complains, $width wide"
        # Not blank, and a colour as the window's is: the pixel in the corner.
        python3 - "$width-$dark.png" "$dark" <<'PYTHON' || fail "the page is blank, or of the wrong colour, $width wide"
import struct, sys, zlib
data, at, body = open(sys.argv[1], "rb").read(), 8, b""
while at < len(data):
    size, kind = struct.unpack(">I4s", data[at:at + 8])
    if kind == b"IDAT": body += data[at + 8:at + 8 + size]
    at += size + 12
raw = zlib.decompress(body)
first = raw[1]
sys.exit(not (len(set(raw)) > 20 and (first < 64 if sys.argv[2] == "0" else first > 192)))
PYTHON
    done
done
exit $((failures > 0))
