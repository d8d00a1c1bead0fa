// Two pictures to choose from. A choice counts only after both are seen.

const LEAST = 250; // milliseconds from both pictures shown to the first choice: faster is a key that bounces, or is held

const SIDES = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "same" };

// What a key says; null where it says nothing, as one that is held, or one of the browser's own such as Alt+←.
export function sideOf(event) {
  return event.repeat || event.altKey || event.ctrlKey || event.metaKey ? null : SIDES[event.key] ?? null;
}

// Takes the pictures away: the former ones are not to be taken for those that come.
export function clearPair(images) {
  for (const image of images) {
    image.removeAttribute("src");
    image.style.visibility = "hidden";
  }
}

// Shows both pictures at once. Gives the time from which both are seen, once a choice may be made.
export async function showPair(images, sources) {
  clearPair(images);
  await Promise.all(images.map((image, which) => {
    image.src = sources[which];
    return image.decode().catch(() => { throw new Error("A picture did not come."); });
  }));
  for (const image of images) image.style.visibility = "";
  const since = performance.now();
  await new Promise((go) => setTimeout(go, LEAST));
  return since;
}
