#!/usr/bin/env bash
# Recorded prompts and hold music of Asterisk, from Debian: OUTPUT/prompts and OUTPUT/music, as 16 kHz WAV files.
#
#     train/pretrain/fetch_asterisk.sh data/asterisk
#
# Needs apt-get, dpkg-deb and ffmpeg. Terms are those of /usr/share/doc/*/copyright in the packages. One piece
# of music is left out: benchmarks play it to the trained model.
set -euo pipefail
output=$(realpath -m "$1")
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT

terms() { # FOLDER SOURCE LICENSE
    printf 'source,license\n"%s",%s\n' "$2" "$3" >"$1/metadata.csv"
}

convert() { # FROM TO: every G.722 file of a folder
    mkdir -p "$2"
    for file in "$1"/*.g722; do
        ffmpeg -nostdin -loglevel error -y -f g722 -i "$file" -ac 1 -ar 16000 "$2/$(basename "${file%.g722}").wav"
    done
}

cd "$packages"
apt-get download -q asterisk-core-sounds-{en,es,fr,it,ru}-g722 asterisk-moh-opsound-g722
for package in *.deb; do dpkg-deb -x "$package" .; done
sounds=usr/share/asterisk/sounds
while IFS='|' read -r voice source license; do
    convert "$sounds/$voice" "$output/prompts/$voice"
    terms "$output/prompts/$voice" "$source" "$license"
done <<'VOICES'
en_US_f_Allison|Asterisk prompts, Allison Smith|CC BY-SA 3.0
es_MX_f_Allison|Asterisk prompts, Allison Smith|CC BY-SA 3.0
fr_CA_f_June|Asterisk prompts, June Wallack|CC BY-SA 3.0
it_IT_m_Carlo|Asterisk prompts, Carlo Flora|CC BY 3.0
ru_RU_f_IvrvoiceRU|Asterisk prompts, Maxim Topal|CC BY 3.0
VOICES
convert usr/share/asterisk/moh "$output/music"
rm -f "$output"/music/reno_project-system.wav
terms "$output/music" "Asterisk hold music from opsound.org" "CC BY-SA 3.0"
