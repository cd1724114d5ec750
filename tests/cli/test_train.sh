#!/bin/bash
# The user's job from the outside: data, train, evaluate, recommend; an interrupted training goes on to the same bits;
# damaged files end in a sentence.
source "$(dirname "$0")/../support/script.sh"
export XDG_CACHE_HOME=$folder/cache

cd "$folder" || exit 1
m=$M3BSR
check 'a source' 0 'truth' "$m" data synth --out source --users 400 --items 150 --clusters 5 --width 8
check 'a set' 0 'sparsity' "$m" data import source --out set
printf '%s\n' 'data: set' 'width: 16' 'heads: 2' 'expert_layers: 1' 'length: 8' 'batch: 16' 'epochs: 4' 'lr: 0.003' \
    'infer_start: 5' 'diffusion_steps: 20' >config.yaml

check 'a training' 0 'best is epoch' "$m" train config.yaml --out whole
for file in settings.yaml log.jsonl last.safetensors best.safetensors metrics.json report.html; do
    [ -s "whole/$file" ] || fail "the run has no $file"
done
[ -z "$(find whole -name '*.tmp*')" ] || fail 'a temporary file was left'
check 'a run is not overwritten' 2 '--resume' "$m" train config.yaml --out whole
check 'without a terminal there is no bar' 0 'epoch 1' "$m" train config.yaml --out quiet --set epochs=1
"$m" train config.yaml --out quieter --set epochs=1 -q 2>said >/dev/null
[ ! -s said ] || fail '-q says something'
# shellcheck disable=SC2016 # a carriage return moves the bar
! grep -q $'\r' whole/log.jsonl said || fail 'a progress bar went to a file'

idle=(--set epochs=1 --set objective=eps --set beta_start=1e-9 --set infer_start=1 --set denoise=gated)
check 'a part that is broken on purpose is named' 0 'warning: epoch 1: denoise.behavior0 (view) is dead: ' \
    "$m" train config.yaml --out idle "${idle[@]}"
grep -qF '<strong>denoise.behavior0 (view)</strong> is dead since epoch 1: ' idle/report.html || fail 'the report does not name a dead part'
"$m" train config.yaml --out idler "${idle[@]}" -q 2>said >/dev/null
[ ! -s said ] || fail '-q warns'

# Stopped somewhere in the second epoch: as long as a run is under way its log grows line by line. After the last step nothing
# is left to resume.
in_second_epoch() { grep -qs '"event":"epoch"' parts/log.jsonl && sleep 0.03; }
for _ in 1 2 3; do
    interrupt INT 'rm -rf parts' in_second_epoch "$m" train config.yaml --out parts
    same whole/last.safetensors parts/last.safetensors >/dev/null || break
done
[ $status = 130 ] || fail "an interrupted training ends with status $status instead of 130: $(cat said)"
grep -q -- '--resume' said || fail "an interrupted training does not say how to go on: $(cat said)"
! same whole/last.safetensors parts/last.safetensors >/dev/null || fail 'nothing was left to resume'
check 'other settings cannot be resumed' 2 'lr' "$m" train config.yaml --out parts --resume --set lr=0.1
check 'resume' 0 'best is epoch' "$m" train config.yaml --out parts --resume
same whole/last.safetensors parts/last.safetensors || fail 'a resumed training ends with other parameters'
same whole/best.safetensors parts/best.safetensors || fail 'a resumed training has another best epoch'
strip() { sed -E 's/"(seconds|samples_per_s|time|started|data|run|rate)":("[^"]*"|[-0-9.e+]*),?//g' "$1"; }
cmp <(strip whole/log.jsonl | grep '"event":"epoch"') <(strip parts/log.jsonl | grep '"event":"epoch"') ||
    fail 'a resumed training has another log'
# Samples a second are those of the steps, of which the seconds of an epoch have more.
awk -F'[:,]' '/"event":"start"/ { for (i = 1; i < NF; i++) if ($i == "\"samples\"") samples = $(i + 1) }
    /"event":"epoch"/ {
        for (i = 1; i < NF; i++) { if ($i == "\"seconds\"") seconds = $(i + 1); if ($i == "\"samples_per_s\"") rate = $(i + 1) + 0 }
        epochs++
        if (!(samples / rate < 0.999999 * seconds)) wrong = 1
    }
    END { exit !(epochs > 0 && !wrong) }' whole/log.jsonl || fail "samples a second count validation: $(cat whole/log.jsonl)"
check 'a finished training has nothing to resume' 0 'epochs' "$m" train config.yaml --out parts --resume

check 'evaluation has popularity beside' 0 'popularity' "$m" evaluate whole
check 'and item-kNN' 0 'item-kNN' "$m" evaluate whole
for split in valid test; do
    rows() { grep -E 'popularity|trend|item-kNN' | sed 's/^.* \(popularity\|trend\|item-kNN\)/\1/'; }
    cmp <("$m" evaluate whole --split $split | rows) <("$m" evaluate set --baselines --split $split | rows) ||
        fail "baselines of $split differ without a model"
done
check 'baselines of another behavior' 0 'test: ' "$m" evaluate set --baselines --target view
check 'baselines of no behavior' 2 "no behavior 'look'" "$m" evaluate set --baselines --target look
check 'cut-offs and metrics by name' 0 'RECALL@50 PRECISION@10  NDCG@1 NDCG@10 NDCG@50' \
    "$m" evaluate whole --ks 1 --metrics recall@50,precision@10,ndcg
check 'how much lists show' 0 'COVERAGE@5 COVERAGE@10 COVERAGE@20  GINI@5 GINI@10 GINI@20' "$m" evaluate set --baselines
check 'a metric that there is none of' 2 "error: --metrics: 'auc' is no metric; give hr, recall, " "$m" evaluate whole --metrics auc
check 'a metric at 0' 2 "error: --metrics: 'hr@0' has no cut-off from 1 to 1000000; write hr@10" "$m" evaluate whole --metrics hr@0
check 'a cut-off of 0' 2 "error: --ks cannot be '0'; give numbers from 1 to 1000000, such as 1,10,100" "$m" evaluate whole --ks 0,5
check 'a cut-off beyond the items' 2 'cut-offs: go up to 151, but the set has 150 items to rank; give at most 150' \
    "$m" evaluate whole --ks 5,151
check 'a cut-off beyond the candidates' 0 'samples have fewer than 150 candidates in full ranking, so that figures at 150 flatter' \
    "$m" evaluate set --baselines --ks 5,150
check 'a metric of training beyond the items' 2 "error: metric: has the cut-off 200, but the set has 150 items to rank; give one of at most 150" \
    "$m" train config.yaml --out beyond --set metric=recall@200
check 'a metric that chooses no epoch' 2 "error: metric: 'gini@10' says nothing of how well targets are ranked" \
    "$m" train config.yaml --out beyond --set metric=gini@10
check 'cut-offs that fall' 2 'error: ks: has 1 after 10; give rising cut-offs, such as 5, 10, 20' \
    "$m" train config.yaml --out beyond --set 'ks=[10, 1]'
check 'a metric by name chooses the epoch' 0 'valid recall@50 ' "$m" train config.yaml --out named --set metric=recall@50 \
    --set 'ks=[1, 100]' --set epochs=1
for name in hr@1 ndcg@10 mrr@100 recall@50; do
    grep -q "\"valid\":{.*\"$name\":" named/log.jsonl || fail "the log has no $name"
done
check 'evaluation at the cut-offs of the run' 0 ' HR@1  HR@100  NDCG@1 NDCG@100 ' "$m" evaluate named
check 'another metric chooses anew' 0 'named chose the best epoch by recall@50; from here on, mrr@3 chooses it anew' \
    "$m" train config.yaml --out named --resume --set metric=mrr@3 --set epochs=2
check 'and once' 0 'best is epoch 2, mrr@3 ' "$m" train config.yaml --out named --resume --set metric=mrr@3 --set epochs=2

lists() { "$m" evaluate whole --ks 10 --lists "$1" "${@:2}"; }
check 'lists as CSV' 0 'NDCG@10' lists lists.csv
[ "$(head -1 lists.csv)" = user,rank,item,score,target,sample ] || fail "lists.csv begins with $(head -1 lists.csv)"
check 'lists as TSV' 0 'NDCG@10' lists lists.tsv --top 3
check 'lists as lines of JSON' 0 'NDCG@10' lists lists.jsonl
[ "$(tail -n +2 lists.tsv | sort -u -k6,6 | wc -l)" = "$(tail -n +2 lists.csv | sort -u -t, -k6,6 | wc -l)" ] ||
    fail 'lists have other samples as TSV'
[ "$(tail -n +2 lists.tsv | cut -f2 | sort -u | tr '\n' ' ')" = '1 2 3 ' ] || fail '--top 3 does not give three items'
# What stands in the lists makes up the metric: targets within the first 10, over the samples.
"$m" evaluate whole --ks 10 --json -q 2>/dev/null >figures
awk -F, 'NR > 1 { hits += $5; samples = $6 } END { printf "%.6f", hits / samples }' lists.csv >hits
sed -E 's/.*"full": \[\{[^{]*"model": \{"hr@10": ([0-9.e-]+).*/\1/' figures | awk '{ printf "%.6f", $1 }' | cmp - hits ||
    fail "lists hit $(cat hits), evaluate says otherwise"
[ "$(wc -l <lists.jsonl)" = "$(($(wc -l <lists.csv) - 1))" ] || fail 'lists have other lines as JSON'
head -1 lists.jsonl | grep -qE '^\{"user":"[^"]+","rank":1,"item":"[^"]+","score":[-0-9.e]+,"target":(true|false),"sample":1\}$' ||
    fail "a line of JSON is $(head -1 lists.jsonl)"
check 'lists of another form' 2 'error: lists.xml: has no ending that says how lists are written; give .csv, .tsv or .jsonl' lists lists.xml
cp set set.csv
check 'lists over the data' 2 'which is read here; give another name for what is written' lists set.csv --data set.csv
check 'lists without a run' 2 'error: --lists goes with a run; leave out --baselines' "$m" evaluate set --baselines --lists lists.csv
check 'items of no list' 2 'error: --top goes with --lists FILE; --ks has the cut-offs of metrics' "$m" evaluate whole --top 3

check 'evaluation of the validation split' 0 'valid: ' "$m" evaluate whole --split valid
check 'evaluation of the last checkpoint' 0 'uni99' "$m" evaluate whole --checkpoint whole/last.safetensors
check 'evaluation on another device' 0 'uni99' "$m" evaluate whole --backend reference
check 'evaluation against the truth' 0 'mean absolute difference' "$m" evaluate whole --truth source/truth
check 'the truth of other data' 2 'give the truth of the source' "$m" evaluate whole --truth source
check 'a truth that is not there' 2 'nowhere/items.tsv' "$m" evaluate whole --truth nowhere
[ "$("$m" evaluate whole --json)" = "$("$m" evaluate whole --json)" ] || fail 'two evaluations differ'

# Recommendations: ids of the source, a rank each, and nothing that the user had.
"$m" recommend whole --users u1,u2 --top 5 >items 2>said || fail "recommend: $(cat said)"
[ "$(wc -l <items)" = 11 ] || fail "2 users with 5 items make 10 lines and a header: $(cat items)"
while IFS=$'\t' read -r user rank item _; do
    [ "$user" = user ] && continue
    grep -q "^i[0-9]*$" <<<"$item" || fail "'$item' is no item of the source"
    ! grep -q "^$user	$item	buy	" source/interactions.tsv || fail "$user had $item already (rank $rank)"
done <items
printf '\xef\xbb\xbfu3\r\n\nu4\n' >users
check 'a byte order mark before the users' 0 'u3	1	' "$m" recommend whole --users @users --top 1
check 'users from a file' 0 'u4	1	' "$m" recommend whole --users @users --top 1
check 'a folder of users' 2 'Is a directory' "$m" recommend whole --users @.
check 'an unknown user' 2 "'nobody': is no user" "$m" recommend whole --users nobody
check 'more than there is' 0 '	140	' "$m" recommend whole --users u1 --top 100000 --exclude none
printf '%s\n' 'user_id	item_id	behavior	timestamp' 'new	i1	view	5' 'new	i2	buy	6' 'new	nothing	view	7' \
    'cold	nothing	view	7' >history.tsv
check 'an unseen user is served' 0 'new	1	' "$m" recommend whole --history history.tsv --top 3
check 'an unseen item is told' 0 'nothing' "$m" recommend whole --history history.tsv --top 3
check 'who has no history gets popular items' 0 'cold	3	' "$m" recommend whole --history history.tsv --users cold --top 3
"$m" recommend whole --history history.tsv --users new --top 1000 --exclude touched 2>/dev/null >items
! grep -qE '	i[12]	' items || fail 'items that were touched are recommended'
check 'a history that is not there' 2 'nowhere.tsv' "$m" recommend whole --history nowhere.tsv
check 'a user that the history lacks' 2 'is no user of history.tsv' "$m" recommend whole --history history.tsv --users u1

# Titles are shown so that they cannot turn the writing of a terminal round; JSON has them as they are. What joins the parts of
# an emoji is a letter like others. In UTF-8: U+202E, U+200E, U+2066, U+061C, U+2029, U+FEFF, U+0085; U+2728 twice.
cp -r source odd
stars=$'\xe2\x9c\xa8\xe2\x80\x8d\xe2\x9c\xa8'
title=$'\xe2\x80\xaeodd\xe2\x80\x8e\xe2\x81\xa6\xd8\x9c\xe2\x80\xa9\xef\xbb\xbf\xc2\x85'$stars
sed -i "2,\$s/\tTopic/\t${title}Topic/" odd/items.tsv
"$m" data import odd --out odd.set >said 2>&1 || fail "odd titles: $(cat said)"
check 'odd titles' 0 '	\u{202e}odd\u{200e}\u{2066}\u{061c}\u{2029}\u{feff}\u{0085}'"${stars}Topic " \
    "$m" recommend whole --data odd.set --users u1 --top 1
check 'odd titles in JSON' 0 "\"title\": \"${title}Topic " "$m" recommend whole --data odd.set --users u1 --top 1 --json

# Traces: the same users, and the same messages.
check 'a trace' 0 'values.safetensors: 2 users' "$m" trace whole --users u1,u2 --out values.safetensors
for name in input.ids infer.encoded infer.after_modality infer.after_behavior infer.specific infer.common infer.gate infer.user; do
    grep -aqF "\"$name\":{" values.safetensors || fail "a trace has no $name"
done
! grep -aqF '"infer.scores"' values.safetensors || fail 'a trace has scores that nobody asked for'
check 'a trace of scores' 0 'u1.safetensors: 2 users' "$m" trace whole --users @users --out u1.safetensors --tensors user,scores
grep -aqE '"infer.scores":\{"dtype":"F32","shape":\[2,[0-9]+\]' u1.safetensors || fail 'a trace of scores has none'
check 'a trace of an unseen user' 0 'new.safetensors: 2 users' "$m" trace whole --history history.tsv --out new.safetensors
check 'a trace of an unknown user' 2 "'nobody': is no user" "$m" trace whole --users nobody --out none.safetensors
check 'a trace to where there is no folder' 2 'nowhere/values' "$m" trace whole --users u1 --out nowhere/values

# A later day: a new item that looks like the last, and users who had it.
mkdir next
cp source/*.npy next
for ids in source/*.ids.txt; do sed '$s/.*/late/' "$ids" >"next/${ids#source/}"; done
printf '%s\n' 'user_id	item_id	behavior	timestamp' 'u1	late	view	1900000000' 'u2	late	buy	1900000001' 'u3	i1	buy	1900000002' \
    'u3	i2	buy	1900000003' 'u3	i3	buy	1900000004' >next/interactions.tsv
check 'a day is added' 0 '1 items' "$m" data append set next --out set3
check 'an item after the training is ranked' 0 'has 1 of 151 items that the run was not trained on' \
    "$m" recommend whole --data set3 --users u4 --top 1000 --exclude none
"$m" recommend whole --data set3 --users u4 --top 1000 --exclude none 2>/dev/null | grep -q '	late	' || fail 'the new item is not ranked'
check 'a training goes on from a run' 0 'best is epoch' "$m" train --from whole --set data=set3 --set epochs=1 --out later
check 'on what is new alone' 0 'best is epoch' "$m" train --from whole --set data=set3 --set train_on=new --set epochs=1 --out newer
steps() { tail -n 1 "$1/log.jsonl" | sed 's/.*"steps":\([0-9]*\).*/\1/'; }
[ "$(steps newer)" -lt "$(steps later)" ] || fail "new samples take $(steps newer) steps, all $(steps later)"
check 'with a configuration' 0 'best is epoch' "$m" train config.yaml --from whole --set data=set3 --set epochs=1 --out third
check 'from no run' 2 'nowhere/settings.yaml' "$m" train --from nowhere --out fourth
[ ! -e fourth ] || fail 'a refused training left its folder'

# Damage.
head -c 2000 whole/best.safetensors >cut.safetensors
check 'a checkpoint that was cut short' 2 'cut.safetensors' "$m" evaluate whole --checkpoint cut.safetensors
printf 'no checkpoint at all' >text.safetensors
check 'a checkpoint that is none' 2 'text.safetensors' "$m" evaluate whole --checkpoint text.safetensors
check 'a checkpoint that is not there' 2 'none.safetensors' "$m" evaluate whole --checkpoint none.safetensors
cp whole/best.safetensors nan.safetensors
place=$(head -c 20000 nan.safetensors | grep -ao '"item.weight":[^}]*data_offsets":\[[0-9]*' | grep -o '[0-9]*$')
printf '\x00\x00\xc0\x7f' | dd of=nan.safetensors bs=1 seek=$(($(od -An -t u8 -N 8 nan.safetensors) + 8 + place)) conv=notrunc status=none
check 'a checkpoint with NaN ranks nothing' 2 'holds nan at 0' "$m" evaluate whole --checkpoint nan.safetensors
head -c 5000 set >cut.set
check 'a set that was cut short' 2 'cut.set' "$m" evaluate whole --data cut.set
cp set flipped.set
printf '\x55' | dd of=flipped.set bs=1 seek=4096 conv=notrunc status=none
check 'a set with another byte in it' 2 'flipped.set' "$m" evaluate whole --data flipped.set
"$m" data synth --out source2 --users 50 --items 40 --clusters 3 --width 8 >/dev/null 2>&1
for file in interactions.tsv ./*.ids.txt; do (cd source2 && sed -i 's/\bi\([0-9]\)/other\1/' $file); done
"$m" data import source2 --out set2 >/dev/null 2>&1
check 'a set of other items' 2 'it knows the ids of 0 of 40' "$m" evaluate whole --data set2
# The best is saved before the last: a run that was killed between them goes on from the best.
"$m" train config.yaml --out between --set epochs=1 >/dev/null 2>&1
rm between/last.safetensors
check 'resume from the best' 0 'best is epoch' "$m" train config.yaml --out between --resume --set epochs=4
same whole/last.safetensors between/last.safetensors || fail 'a training resumed from its best ends with other parameters'
cp -r parts broken
head -c 3000 broken/last.safetensors >broken/short
mv broken/short broken/last.safetensors
check 'resuming from a damaged checkpoint' 2 'last.safetensors' "$m" train config.yaml --out broken --resume --set epochs=9
# What an older version made: its settings.yaml lacks the keys that came later, and its defaults were others.
first=(--set denoise=replace --set fusion=none --set contrast=interests --set router=softmax --set w_contrast=0.01)
"$m" train config.yaml --out older "${first[@]}" --set epochs=1 -q 2>/dev/null
sed -i -E '/^(denoise|denoise_scale|fusion|trend|interests|router_floor|contrast):/d' older/settings.yaml
check 'a run of an older version goes on' 0 '2 epochs' "$m" train config.yaml --out older --resume --set epochs=2
grep -q '^denoise: replace' older/settings.yaml || fail 'a run that went on has other formulas'
check 'unless other formulas are given' 2 "denoise: is 'gated' now and was 'replace'" "$m" train config.yaml --out older --resume --set epochs=3 --set denoise=gated

check 'a loss that is no number stops' 2 'loss' "$m" train config.yaml --out burst --set lr=1000 --set denoise=gated --set fusion=none --set contrast=interests --set router=softmax --set clip=0

[ "$failures" -eq 0 ]
