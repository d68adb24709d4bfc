"""FLEURS: sentences of Wikipedia read by two or three people each, 102 languages, 16 kHz WAV."""

from __future__ import annotations

from pathlib import Path

from espnet_otreg.data.clips import Clip, ClipSet, require_known, write_clips
from espnet_otreg.data.languages import canonical_language
from espnet_otreg.data.prep_log import PrepLog
from espnet_otreg.data.tsv import read_columns, to_number
from espnet_otreg.data.unpack import unpack

_CODES = """
    af_za am_et ar_eg as_in ast_es az_az be_by bg_bg bn_in bs_ba ca_es ceb_ph ckb_iq cmn_hans_cn
    cs_cz cy_gb da_dk de_de el_gr en_us es_419 et_ee fa_ir ff_sn fi_fi fil_ph fr_fr ga_ie gl_es
    gu_in ha_ng he_il hi_in hr_hr hu_hu hy_am id_id ig_ng is_is it_it ja_jp jv_id ka_ge kam_ke
    kea_cv kk_kz km_kh kn_in ko_kr ky_kg lb_lu lg_ug ln_cd lo_la lt_lt luo_ke lv_lv mi_nz mk_mk
    ml_in mn_mn mr_in ms_my mt_mt my_mm nb_no ne_np nl_nl nso_za ny_mw oc_fr om_et or_in pa_in
    pl_pl ps_af pt_br ro_ro ru_ru sd_in sk_sk sl_si sn_zw so_so sr_rs sv_se sw_ke ta_in te_in
    tg_tj th_th tr_tr uk_ua umb_ao ur_pk uz_uz vi_vn wo_sn xh_za yo_ng yue_hant_hk zu_za
    """
CODES = {canonical_language(code): code for code in _CODES.split()}
LANGUAGES = frozenset(CODES)
SUBSETS = ("train", "dev", "test")
SAMPLE_RATE = 16000


def prepare_fleurs(
    corpus_dir: str | Path, output_dir: str | Path, language: str, subset: str, jobs: int = 1
) -> PrepLog:
    """Make the data directory of one set of one language.

    The publisher's ``id`` is that of the sentence, which several people read, so the name of the
    file is the utterance's. Who reads is not said: all share ``<lang>_fleurs_unknown``, and the
    bootstrap draws sentences.

    Args:
        corpus_dir: holds ``data/<code>/<subset>.tsv`` (no header: id, file_name,
            raw_transcription, transcription, characters, num_samples, gender) and
            ``data/<code>/audio/<subset>.tar.gz``, or that archive unpacked beside it.
        output_dir: is written whole, with ``prep_log.json``; ``<output_dir>_audio`` gets what is
            unpacked.
        language: one of :data:`LANGUAGES`.
        subset: one of :data:`SUBSETS`.
        jobs: files looked at at a time.

    Raises:
        UserError: if a file is missing or has another form.
    """
    require_known(language, LANGUAGES, "language", "FLEURS")
    require_known(subset, SUBSETS, "subset", "FLEURS")
    directory = Path(corpus_dir) / "data" / CODES[language]
    table = directory / f"{subset}.tsv"
    rows = list(read_columns(table, 7))
    audio = directory / "audio" / subset
    if not audio.is_dir():
        audio = Path(f"{output_dir}_audio")
        unpack(directory / "audio" / f"{subset}.tar.gz", audio)
        audio = audio / subset
    log = PrepLog(f"fleurs {subset}", language)
    clips = [
        Clip(Path(file).stem, audio / file, raw, seconds=to_number(samples, table) / SAMPLE_RATE)
        for _, file, raw, _, _, samples, _ in rows
    ]
    untold = {path.stem for path in audio.glob("*.wav")} - {clip.name for clip in clips}
    for name in sorted(untold):
        log.drop("no_transcript", name)
    return write_clips(output_dir, clips, ClipSet("fleurs", subset, language, "fleurs"), log, jobs)
