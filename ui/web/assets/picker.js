// A model picker as a field of the form. Event `outdated`: others may be offered by now.
watch(['value', 'choices'], Easel.picker({ element, props, trigger }));

// An answer that came before every widget stands would break those that do not; what is told until then is made up for.
Easel.form.restored.on(() => {
  Easel.models.offered.on(() => trigger('outdated'));
  trigger('outdated');
});
