"""Every limit that quality control uses, with its reason."""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class QcThresholds:
    """Limits of the rules. Those of anatomy were set so that masks drawn by experts (ACDC training set) mostly pass."""

    fewest_pixels: int = 10
    """A structure with fewer voxels in a frame counts as absent; a real apex alone holds more."""
    fewest_slices: int = 5
    """Slices that show the LV cavity at end-diastole; fewer cannot sum up to a ventricle. Children have 5."""

    open_outline_fraction: float = 0.10
    """Part of the LV cavity's outline on a slice that may touch background; in expert masks none does."""
    rv_contact_fraction: float = 0.05
    """Part of the LV cavity's outline on a slice that may touch the RV cavity; the septum lies between them."""
    island_fraction: float = 0.05
    """Part of a structure's volume outside its largest piece; more is a second object, not a stray pixel."""
    island_ml: float = 0.5
    """The same in mL, below which an island changes no number."""
    hole_fraction: float = 0.02
    """Part of a structure's area on a slice that holes may take; drawn contours have none."""
    hole_pixels: int = 5
    """Holes smaller than this on a slice change no number."""
    centroid_jump_mm: float = 12.0
    """How far a slice's LV may lie off the middle of its neighbours; 6 in 100 patients of ACDC do by 10 mm."""
    area_jump_fraction: float = 0.45
    """How far a slice's LV area may lie off the mean of its neighbours; a wrong contour jumps more."""
    rv_surrounded_fraction: float = 0.75
    """Part of the RV cavity's outline that myocardium may touch where no LV cavity is labelled; a ring has 1."""
    rv_piece_mm2: float = 50.0
    """Area of the RV cavity apart from its largest piece on a slice; 3 mm² or less in 100 patients of ACDC drawn by
    experts, and 50 mm² are half a millilitre of a usual slice."""
    rv_piece_fraction: float = 0.10
    """The same as a part of the RV's area on that slice, below which it hardly changes the contour."""
    rv_below_base_ed: tuple[int, float] = (1, 15.0)
    """Slices and mm by which the RV may begin below the LV at end-diastole, both exceeded; experts: 1 slice, 10 mm."""
    rv_below_base_es: tuple[int, float] = (2, 25.0)
    """The same at end-systole, when the tricuspid valve comes down farther than the mitral; experts: 20 mm, and 3
    slices of 5 mm."""
    rv_basal_area_fraction: Range = (0.10, 0.50)
    """Area of the RV's most basal slice over its largest, between which that slice is half an RV or an atrium; 1 of 100
    patients drawn by experts. Less than a tenth changes no number."""
    rv_dent_fraction: float = 0.25
    """Area that an RV slice lacks against the mean of its neighbours, over the largest; more in 2 of 100 patients drawn
    by experts."""
    rv_to_lv_volume: Range = (1 / 3, 3.0)
    """RV over LV end-diastolic volume; 4 of 100 patients drawn by experts lie outside, with grave disease."""
    septum_side_cosine: float = -0.3
    """Cosine between the direction from LV to RV and the patient's right and front; lower is a mirror image."""
    apex_area_fraction: float = 0.35
    """LV area of the stack's last apical slice over the largest; above, the apex lies outside the stack."""

    wall_thickness_mm: Range = (2.0, 35.0)
    """Mean of a segment and greatest place; aneurysms are thinner, and hearts with hypertrophic cardiomyopathy reach
    30 mm."""

    fewest_phases: int = 15
    """Phases per beat below which end-systole may fall between two of them and EF comes out too low."""
    fewest_phases_for_curve: int = 10
    """Phases below which the shape of a volume curve cannot be judged."""
    frame_jump_fraction: float = 0.08
    """How far a frame's LV volume may lie off the smooth curve through its four neighbours, over EDV."""
    frame_spike_fraction: float = 0.12
    """How far one of the first or last two frames may stick out over both its neighbours, over EDV."""
    second_dip_fraction: float = 0.25
    """Depth of a second minimum of the LV curve over the stroke volume; the ventricle empties once per beat."""
    es_fraction: Range = (0.2, 0.6)
    """End-systole after end-diastole as a part of the beat: about a third at rest, a half at fast rates."""
    open_beat_fraction: float = 0.15
    """Difference of last and first LV volume over EDV; above, the recording does not close the beat."""
    mass_difference_fraction: float = 0.40
    """Difference of LV mass at ED and ES over their mean; it keeps its volume, and expert contours differ by 30 %."""
    mass_variation: float = 0.15
    """Standard deviation over mean of the volume of the myocardium over the beat."""
    stroke_difference_fraction: float = 0.40
    """Difference of LV and RV stroke volume over their mean beyond which it is mentioned (valve, shunt, or base)."""
    stroke_difference_review_fraction: float = 0.80
    """The same beyond which a person should look: one ventricle pumps more than twice what the other does. 8 of 100
    patients drawn by experts do, and 22 differ by more than 50 %: a tighter limit would find no wrong contour."""
    rv_ef_below_lv_points: float = 20.0
    """How far RVEF may lie below LVEF in an RV that is not dilated; in 3 of 100 patients drawn by experts it does."""
    rv_not_dilated: float = 1.3
    """RV over LV end-diastolic volume up to which an RV is not dilated; 1.2 in healthy people (Healthy Hearts)."""
    phase_disagreement_fraction: float = 0.15
    """Distance of the RV's smallest volume, or of annotated frames, from the LV's end-systole as a part of the beat."""

    lv_ef_possible: Range = (3.0, 90.0)
    """LVEF in percent outside which the numbers are rejected."""
    lv_ef_usual: Range = (8.0, 85.0)
    """LVEF outside which a person should look: the worst and the best of 100 patients of ACDC lie inside."""
    rv_ef_possible: Range = (-10.0, 90.0)
    """RVEF outside which the numbers of the RV are rejected; experts found 2 to 86 % in ACDC, and an error of 9
    points is usual (`quantify.measurement_errors`)."""
    rv_ef_usual: Range = (5.0, 85.0)
    """RVEF outside which a person should look."""
    lv_edv_possible_ml: Range = (20.0, 600.0)
    """LV end-diastolic volume outside which the numbers are rejected."""
    lv_edv_usual_ml: Range = (45.0, 400.0)
    """LV end-diastolic volume of the patients that models were trained on (ACDC: 49 to 374 mL)."""
    rv_edv_possible_ml: Range = (20.0, 600.0)
    """RV end-diastolic volume outside which the numbers of the RV are rejected."""
    rv_edv_usual_ml: Range = (35.0, 400.0)
    """RV end-diastolic volume outside which a person should look."""
    lv_mass_possible_g: Range = (20.0, 500.0)
    """LV mass outside which the numbers are rejected."""
    lv_mass_usual_g: Range = (30.0, 330.0)
    """LV mass outside which a person should look."""
    heart_rate_possible_bpm: Range = (25.0, 220.0)
    """Heart rate outside which a header is wrong."""
    pixel_mm: Range = (0.6, 2.5)
    """Pixel size that models were trained on, with a margin (ACDC: 0.7 to 1.9 mm)."""
    slice_distance_mm: Range = (4.0, 13.0)
    """Slice distance that models were trained on, with a margin (ACDC: 5 to 10 mm)."""

    agreement_lv_cavity: float = 0.90
    """Mean Dice between the members of an ensemble below which a person should look."""
    agreement_lv_myocardium: float = 0.82
    """The same for the myocardium, a thin structure."""
    agreement_rv_cavity: float = 0.82
    """The same for the RV, whose base is the least certain place."""
    agreement_frame_lv_cavity: float = 0.85
    """The same at the frame of ED or ES, which a single frame falls below more easily than the mean of the beat."""
    agreement_frame_lv_myocardium: float = 0.75
    """The same for the myocardium."""
    agreement_frame_rv_cavity: float = 0.85
    """The same for the RV. 8 of 100 patients of ACDC lie below, 6 of them with a Dice under 0.85 or RVEF off by 9;
    two of the three networks had seen each patient, so new ones will lie below more often."""

    scar_percent_usual: Range = (0.0, 60.0)
    """Scar in percent of LV mass above which a person should look: the largest of 30 patients of MyoPS has 46."""
    no_reflow_percent_usual: Range = (0.0, 60.0)
    """No-reflow in percent of the scar above which a person should look: a core larger than its own infarct."""
    scar_outside_fraction: float = 0.05
    """Part of the scar that may lie off the wall."""
    scar_beyond_wall_mm: float = 3.0
    """How much farther from the cavity than the remote wall of its slice is thick scar may lie; it thins the wall."""
    scar_pieces: int = 5
    """Separate pieces of scar; masks of experts (MyoPS) have 4 at most, thresholds on noise have more."""
    scar_contrast: float = 1.0
    """Difference of the medians of scar and remote muscle over the SD of the latter; 29 of 30 of MyoPS have more."""
    scar_missed_fraction: float = 0.014
    """Largest connected region of the inner wall that is bright and not labelled scar, over LV mass. Of 22 patients of
    EMIDEC without scar two have more; of the 73 of EMIDEC and MyoPS with more than 5 g of scar, that taken out of the
    masks, all have."""
    scar_missed_of_scar: float = 0.25
    """The same over the scar that is labelled: next to a large scar, a bright region more is its border."""
    scar_piece_ml: float = 3.0
    """Smaller pieces of scar are not asked for their brightness each."""
    scar_piece_bright_fraction: float = 0.3
    """Part of such a piece, its rim left out, that must be bright. Of the pieces that networks drew in 100 patients of
    EMIDEC and MyoPS two have less, both in patients whose scar was found badly (Dice under 0.5)."""
    scar_shift_mm: Range = (3.0, 10.0)
    """Distances by which the whole scar is moved to see whether it would be brighter elsewhere; from a border's
    thickness to that of a wall."""
    scar_shift_gain: float = 1.5
    """Brightness over remote muscle there, relative to where it was drawn; 1.3 or less in 29 of 30 of MyoPS, and 2.3 in
    the one whose scar is hardly bright."""
    scar_fragments: int = 4
    """Pieces and holes of scar on one slice; masks of experts (MyoPS) have 4 at most."""
    scar_shape_distance: float = 4.5
    """Distance of the scar's shape from those of MyoPS, in standard deviations (Mahalanobis); theirs is 3.6 at most."""
    blood_contrast: float = 0.5
    """The same of blood and remote muscle, which is nulled; 0.9 or more in MyoPS."""

    agreement_lge_lv_cavity: float = 0.85
    """Mean Dice between the members of an LGE ensemble below which a person should look; blood borders on scar."""
    agreement_lge_lv_myocardium: float = 0.70
    """The same for muscle without scar, which the networks part from scar differently."""
    agreement_lge_rv_cavity: float = 0.75
    """The same for the RV, which is used to name the segments."""
    agreement_lge_scar: float = 0.80
    """The same for scar, pieces under 1 mL left out. Two readers are quoted with 0.7 for EMIDEC. Of 30 MyoPS patients
    segmented by two members that never saw them 12 lie below, among them 6 of the 7 whose Dice with the truth is under
    0.5."""
    agreement_lge_no_scar: float = 0.60
    """The same where no scar is left: pieces of 1 mL and more that some members saw and the others did not pull it
    down; one of ten gives 0.8, three less than 0.6."""

    lge_mass_difference_fraction: float = 0.30
    """Difference of LV mass on LGE and cine over their mean: the same muscle, at another moment and resolution."""
    lge_length_fraction: float = 0.75
    """Length of the LV that LGE covers over that of the cine; below, scar beyond the LGE stack is not seen."""

    contrast: float = 1.0
    """Difference of blood and myocardium over their pooled standard deviation at ED, at least."""
    saturated_fraction: float = 0.20
    """Part of the LV cavity's voxels at the image's largest value; above, blood is clipped and its border with it."""
